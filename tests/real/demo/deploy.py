"""`sam deploy` of the product's template into the emulator, with binaries that are built already."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import boto3

STACK, BUCKET = "joiner", "joiner-artifacts"


def deploy(template: Path, state: Path, binaries: dict[str, Path], sam: Path) -> None:
    directory = state / "deploy"
    for name, binary in binaries.items():
        (directory / name).mkdir(parents=True)
        shutil.copy2(binary, directory / name / "bootstrap")
        if shutil.which("strip"):
            # Symbols are most of a development binary, and each is sent through the emulator.
            subprocess.run(["strip", directory / name / "bootstrap"], check=True)
    built = directory / "template.yaml"
    built.write_text(with_code(template.read_text(), binaries))
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    cluster = boto3.client("eks").list_clusters()["clusters"][0]
    role = boto3.client("iam").get_role(RoleName=f"KarpenterNodeRole-{cluster}")["Role"]["Arn"]
    command = [sam, "deploy", "--template-file", built, "--stack-name", STACK, "--s3-bucket", BUCKET]
    command += ["--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--no-confirm-changeset", "--no-progressbar"]
    # The emulator knows no access entries; the API server maps its one user by the token check.
    command += ["--parameter-overrides", f"ClusterName={cluster}", f"NodeRoleArn={role}", "AccessEntries=false"]
    log = state / "logs" / "sam-deploy.log"
    with open(log, "wb") as file:
        done = subprocess.run(list(map(str, command)), stdout=file, stderr=subprocess.STDOUT, cwd=directory)
    if done.returncode != 0:
        sys.stderr.write(log.read_text()[-3000:])
        raise subprocess.CalledProcessError(done.returncode, command)


def with_code(text: str, names) -> str:
    """The template with each function's code where its binary lies, as `sam build` would write it."""
    found = []

    def code(match: re.Match) -> str:
        found.append(match["name"])
        return match["head"] + match["name"] + "/"

    pattern = r"(?P<head>Binary: (?P<name>[\w-]+)(?:(?!CodeUri)[\s\S])*?CodeUri: )\S+"
    text = re.sub(pattern, code, text)
    if sorted(found) != sorted(names):
        raise ValueError(f"the template has code for {sorted(found)}, not for {sorted(names)}")
    return text
