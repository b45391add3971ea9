import { existsSync } from "node:fs";
import { join } from "node:path";
import type { IResolvable } from "aws-cdk-lib";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import { Asset } from "aws-cdk-lib/aws-s3-assets";
import { CfnFunction } from "aws-cdk-lib/aws-sam";
import { Construct } from "constructs";

/** The functions: logical name in the template, and the binary's name. */
const FUNCTIONS: ReadonlyArray<readonly [string, string]> = [
  ["OnPendingPods", "on-pending-pods"],
  ["OnInterruption", "on-interruption"],
  ["OnSchedule", "on-schedule"],
];

export interface JoinerProps {
  /** The EKS cluster: at most 41 characters. */
  readonly clusterName: string;
  /**
   * What `cargo lambda build` leaves: a directory with `<function>/bootstrap` for each function, of the architecture in `parameters`
   * (`x86_64` unless given).
   * @default target/lambda of this repository
   */
  readonly binaries?: string;
  /**
   * Any of the template's parameters, by name; lists as arrays. What is left out has the template's default.
   */
  readonly parameters?: Readonly<Record<string, string | number | boolean | readonly string[]>>;
}

/**
 * Joiner for one cluster: all of infra/template.yaml, which stays the only description of it. One for each stack, because the
 * template's logical names are kept.
 */
export class Joiner extends Construct {
  /** The template's resources, to read from or to override. */
  readonly included: CfnInclude;

  constructor(scope: Construct, id: string, props: JoinerProps) {
    super(scope, id);
    const infra = join(__dirname, "..", "..", "..");
    const binaries = props.binaries ?? join(infra, "..", "target", "lambda");
    this.included = new CfnInclude(this, "Template", { templateFile: join(infra, "template.yaml") });
    this.setDefaults({ ...props.parameters, ClusterName: props.clusterName });
    for (const [logical, name] of FUNCTIONS) {
      this.setCode(logical, join(binaries, name));
    }
  }

  /** The value of an output of the template: `WebhookRoleArn`. */
  output(name: string): string | IResolvable {
    return this.included.getOutput(name).value as string | IResolvable;
  }

  /**
   * Parameters stay parameters, with other defaults: the section Globals refers to them by name, and their patterns go on being
   * checked by CloudFormation.
   */
  private setDefaults(values: NonNullable<JoinerProps["parameters"]>): void {
    for (const [name, value] of Object.entries(values)) {
      const parameter = this.included.getParameter(name);
      const text = Array.isArray(value) ? value.join(",") : String(value);
      const pattern = parameter.allowedPattern;
      if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`).test(text)) {
        throw new Error(`parameter ${name}: ${JSON.stringify(text)} does not match ${pattern}`);
      }
      if (parameter.allowedValues !== undefined && !parameter.allowedValues.map(String).includes(text)) {
        throw new Error(`parameter ${name}: ${JSON.stringify(text)} is none of ${parameter.allowedValues.join(", ")}`);
      }
      parameter.default = text;
    }
  }

  private setCode(logical: string, directory: string): void {
    if (!existsSync(join(directory, "bootstrap"))) {
      throw new Error(`${directory} holds no bootstrap: run cargo lambda build --profile lambda, or say where binaries are`);
    }
    const code = new Asset(this, `${logical}Code`, { path: directory });
    const found = this.included.getResource(logical) as CfnFunction;
    found.codeUri = { bucket: code.s3BucketName, key: code.s3ObjectKey };
    // How `sam build` would build it, which nobody will.
    found.cfnOptions.metadata = undefined;
  }
}
