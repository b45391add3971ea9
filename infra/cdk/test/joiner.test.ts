import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { App, Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { Joiner, type JoinerProps } from "../lib/joiner";

const NAMES = ["on-pending-pods", "on-interruption", "on-schedule"];

describe("Joiner", () => {
  let binaries = "";

  before(() => {
    binaries = mkdtempSync(join(tmpdir(), "joiner-cdk-"));
    for (const name of NAMES) {
      mkdirSync(join(binaries, name));
      writeFileSync(join(binaries, name, "bootstrap"), name);
    }
  });
  after(() => rmSync(binaries, { recursive: true }));

  const synthesised = (props: Partial<JoinerProps> = {}): Template => {
    const stack = new Stack(new App(), "Stack");
    new Joiner(stack, "Joiner", { clusterName: "shop", binaries, ...props });
    return Template.fromStack(stack);
  };

  it("gives each function its own code, in the bucket of assets", () => {
    const functions = Object.values(synthesised().findResources("AWS::Serverless::Function"));
    assert.equal(functions.length, 3);
    const keys = functions.map((each) => each["Properties"].CodeUri.Key);
    assert.equal(new Set(keys).size, 3);
    assert.ok(keys.every((key) => /^[0-9a-f]{64}\.zip$/.test(key)), String(keys));
    assert.ok(functions.every((each) => each["Metadata"] === undefined));
  });

  it("keeps the transform, the globals and what they refer to", () => {
    const template = synthesised().toJSON();
    assert.equal(template.Transform, "AWS::Serverless-2016-10-31");
    const variables = template.Globals.Function.Environment.Variables;
    assert.deepEqual(variables.CLUSTER_NAME, { Ref: "ClusterName" });
    assert.equal(template.Parameters.ClusterName.Default, "shop");
  });

  it("passes parameters on, lists among them", () => {
    const parameters = { SystemNodes: "asg", SystemSubnetIds: ["subnet-1", "subnet-2"], MemoryMb: 1024 };
    const template = synthesised({ parameters }).toJSON();
    assert.equal(template.Parameters.SystemNodes.Default, "asg");
    assert.equal(template.Parameters.SystemSubnetIds.Default, "subnet-1,subnet-2");
    assert.equal(template.Parameters.MemoryMb.Default, "1024");
  });

  const refused = (what: string, props: Partial<JoinerProps>, message: RegExp): void => {
    it(`refuses ${what}`, () => assert.throws(() => synthesised(props), message));
  };
  refused("a parameter that the template does not have", { parameters: { Memory: 1 } }, /Memory/);
  refused("a value that it does not allow", { parameters: { Architecture: "arm" } }, /none of x86_64, arm64/);
  refused("an empty cluster", { clusterName: "" }, /ClusterName/);
  refused("a cluster whose name is too long", { clusterName: "c".repeat(42) }, /ClusterName/);
  refused("a directory without binaries", { binaries: tmpdir() }, /cargo lambda build/);
});
