import { App, Stack } from "aws-cdk-lib";
import { Joiner } from "../lib/joiner";

// `npx cdk deploy -c cluster=shop`; more of the template's parameters as `-c parameters='{"SystemNodes":"managed"}'`.
const app = new App();
const cluster: string = app.node.tryGetContext("cluster") ?? "example";
const given: string | undefined = app.node.tryGetContext("parameters");
const stack = new Stack(app, "Joiner", { stackName: `joiner-${cluster}` });
new Joiner(stack, "Joiner", {
  clusterName: cluster,
  binaries: app.node.tryGetContext("binaries"),
  parameters: given === undefined ? {} : JSON.parse(given),
});
