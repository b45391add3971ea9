// Reads requests with policies as JSON from standard input, answers what IAM would: one `{ result, decisive, errors }` each.
import { readFileSync } from "node:fs";
import { runSimulation } from "@cloud-copilot/iam-simulate";

const everything = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }] };

async function decide({ action, resource, account, principal, policies, context }) {
  const simulation = {
    request: { principal, action, resource: { resource, accountId: account }, contextVariables: context },
    identityPolicies: policies.map((policy, at) => ({ name: `policy-${at}`, policy })),
    serviceControlPolicies: [{ orgIdentifier: "ou-test", policies: [{ name: "all", policy: everything }] }],
    resourceControlPolicies: [],
  };
  return runSimulation(simulation, { simulationMode: "Strict" });
}

const answers = [];
for (const request of JSON.parse(readFileSync(0, "utf8"))) {
  answers.push(await decide(request));
}
process.stdout.write(JSON.stringify(answers));
