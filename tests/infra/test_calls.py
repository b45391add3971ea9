"""Every call of AWS that the installer makes, against the list that README gives and IAM's simulator is asked about; and what becomes of the
answers that no emulator gives: the simulator's, and quotas.
"""

import json
import re
import tempfile
import unittest
from pathlib import Path

import boto3
from installation import CLUSTER, Account, afresh, door, forget, joiner, kubectl, release, site, two_are_ready
from recorder import Recorder
from rendered import ACCOUNT, TOP

SCRATCH = tempfile.TemporaryDirectory()
NODES = f"KarpenterNodeRole-{CLUSTER}"
# A dry decision makes them where the cluster has what they are about, as the functions do (tests/infra/calls.json).
SELDOM = {
    "ec2:DescribeCapacityReservations": "classes that select reservations",
    "ec2:DescribeInstanceStatus": "nodes that Joiner bought",
    "ec2:DescribeSpotInstanceRequests": "spot nodes that Joiner bought",
}
SIMULATED = '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><SimulatePrincipalPolicyResult>{}</SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>'
CALLER = '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>{}</Arn><UserId>A</UserId><Account>{}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>'


def setUpModule():
    global RELEASE, WORLD
    afresh()
    RELEASE = release(Path(SCRATCH.name))
    WORLD = Account().make()
    WORLD.two_nodes(most=10, tagged=True)
    two_are_ready()


def tearDownModule():
    forget()
    door("reset")
    SCRATCH.cleanup()


def listed() -> set[str]:
    """What README says that whoever installs needs."""
    line = (TOP / "README.md").read_text().partition("What whoever installs needs")[2].splitlines()[1]
    return set(re.findall(r"`(\w+:\w+)`", line))


def identity(arn: str):
    return lambda _: (200, "text/xml", CALLER.format(arn, ACCOUNT))


class Simulator:
    """IAM's simulator, in the wire format of its documentation: `denied` and `open` by what it decides, two results a page."""

    def __init__(self, denied=(), explicit=(), open=()):
        self.denied, self.explicit, self.open = denied, explicit, open
        self.asked: list[dict] = []

    def __call__(self, form: dict) -> tuple[int, str, str]:
        self.asked.append(form)
        actions = [form[key][0] for key in sorted(form) if key.startswith("ActionNames.member.")]
        start = int(form.get("Marker", ["0"])[0])
        results = "".join(map(self.result, actions[start : start + 2]))
        more = start + 2 < len(actions)
        marker = f"<Marker>{start + 2}</Marker>" if more else ""
        body = f"<IsTruncated>{str(more).lower()}</IsTruncated>{marker}<EvaluationResults>{results}</EvaluationResults>"
        return 200, "text/xml", SIMULATED.format(body)

    def result(self, action: str) -> str:
        decision = "explicitDeny" if action in self.explicit else "implicitDeny" if action in {*self.denied, *self.open} else "allowed"
        missing = "<member>aws:PrincipalTag/team</member>" if action in self.open else ""
        return (
            f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>*</EvalResourceName><EvalDecision>{decision}</EvalDecision>"
            f"<MatchedStatements/><MissingContextValues>{missing}</MissingContextValues></member>"
        )


class Case(unittest.TestCase):
    maxDiff = None

    def ran(self, code: int, *arguments, recorder: Recorder) -> str:
        got, said = joiner(*arguments, **recorder.environment)
        self.assertEqual(got, code, said)
        return said

    def preflight(self, code: int, recorder: Recorder, *arguments) -> str:
        return self.ran(code, "preflight", *site(), "--artifacts", RELEASE, *arguments, recorder=recorder)


class Calls(Case):
    def test_what_is_called_is_what_is_listed(self):
        with Recorder() as recorder:
            self.identities_of_every_kind(recorder)
            before = WORLD.state()
            install = ("install", *site(), "--artifacts", RELEASE, "--yes", "--fix-asg")
            self.install_without_and_with_a_provider(recorder, install)
            self.ran(0, "rotate-system-nodes", *site(), "--yes", "--force", recorder=recorder)
            self.ran(0, "verify", *site(), recorder=recorder)
            self.ran(0, "update", *site(), "--yes", recorder=recorder)
            self.ran(0, "uninstall", *site(), "--yes", recorder=recorder)
            after = WORLD.state()
        self.assertEqual(after | {"groups": None}, before | {"groups": None})
        made = set(recorder.calls)
        self.assertEqual(made - listed(), set(), "no call is outside of the list")
        self.assertEqual(listed() - made, set(SELDOM), "and nothing is listed that is never called")

    def identities_of_every_kind(self, recorder: Recorder) -> None:
        """The nodes' role by its name, and by that of a managed node group."""
        recorder.answers = {"sts:GetCallerIdentity": identity(f"arn:aws:iam::{ACCOUNT}:user/me"), "iam:SimulatePrincipalPolicy": Simulator()}
        self.preflight(0, recorder, "--node-role", NODES)
        profile = {"InstanceProfileName": f"{CLUSTER}_EKS_workers", "RoleName": NODES}
        eks, role = boto3.client("eks"), WORLD.iam.get_role(RoleName=NODES)["Role"]["Arn"]
        eks.create_nodegroup(clusterName=CLUSTER, nodegroupName="managed", subnets=WORLD.own, nodeRole=role)
        WORLD.iam.remove_role_from_instance_profile(**profile)
        try:
            said = self.preflight(1, recorder)
            self.assertIn(f"node role {NODES}", said)
            self.assertIn(f"--instance-profile-name {CLUSTER}_EKS_workers --role-name {NODES}", said)
        finally:
            WORLD.iam.add_role_to_instance_profile(**profile)
            eks.delete_nodegroup(clusterName=CLUSTER, nodegroupName="managed")

    def install_without_and_with_a_provider(self, recorder: Recorder, install: tuple) -> None:
        """Of an API server without a public endpoint, which maps identities at first by aws-auth and then by access entries."""
        arn = WORLD.iam.list_open_id_connect_providers()["OpenIDConnectProviderList"][0]["Arn"]

        def meant_for(client: str) -> None:
            WORLD.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
            WORLD.iam.create_open_id_connect_provider(Url="https://" + arn.partition("/")[2], ClientIDList=[client])

        def added(form: dict) -> tuple[int, str, str]:
            self.assertEqual(form["OpenIDConnectProviderArn"], [arn])
            meant_for(form["ClientID"][0])
            return 200, "text/xml", "<AddClientIDToOpenIDConnectProviderResponse/>"

        # moto cannot.
        recorder.answers["iam:AddClientIDToOpenIDConnectProvider"] = added
        WORLD.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
        door("endpoint", public=False)
        self.addCleanup(door, "endpoint", public=True)
        said = self.ran(0, *install, recorder=recorder)
        self.assertIn("create    OIDC provider of the cluster", said)
        meant_for("another")
        door("authentication", mode="API_AND_CONFIG_MAP")
        self.addCleanup(door, "authentication", mode="")
        said = self.ran(0, *install, recorder=recorder)
        self.assertIn("client id sts.amazonaws.com is added", said)


class Permissions(Case):
    """IAM's answers about whoever installs. A role of IAM Identity Center has a path, which its session does not tell."""

    SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Admin_0/me"
    ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0"

    @classmethod
    def setUpClass(cls):
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
        WORLD.iam.create_role(RoleName="AWSReservedSSO_Admin_0", Path="/aws-reserved/sso.amazonaws.com/", AssumeRolePolicyDocument=json.dumps(trust))

    def judged(self, code: int, who: str, simulator: Simulator, *command) -> str:
        with Recorder() as recorder:
            recorder.answers = {"sts:GetCallerIdentity": identity(who), "iam:SimulatePrincipalPolicy": simulator}
            before = WORLD.state()
            said = self.ran(code, *(command or ("preflight", *site(), "--artifacts", RELEASE)), recorder=recorder)
        self.assertEqual(WORLD.state(), before, "nothing was changed")
        return said

    def test_all_are_there(self):
        simulator = Simulator()
        said = self.judged(0, self.SESSION, simulator)
        self.assertIn(f"permissions in the account: all {len(listed())} actions", said)
        self.assertEqual({form["PolicySourceArn"][0] for form in simulator.asked}, {self.ROLE})
        asked = {value[0] for form in simulator.asked for key, value in form.items() if key.startswith("ActionNames.")}
        self.assertEqual(asked, listed(), "each is asked about")
        regions = {form["ContextEntries.member.1.ContextKeyValues.member.1"][0] for form in simulator.asked}
        self.assertEqual(regions, {"us-east-1"})
        resources = {form["ResourceArns.member.1"][0] for form in simulator.asked}
        self.assertIn(f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/{CLUSTER}", resources)
        self.assertIn(f"arn:aws:ec2:us-east-1:{ACCOUNT}:subnet/x", resources)

    def test_row_6_what_is_missing_is_granted_by_the_command_that_is_told(self):
        denied = {"ec2:CreateTags", "s3:PutObject"}
        said = self.judged(1, f"arn:aws:sts::{ACCOUNT}:assumed-role/installer/me", Simulator(denied, {"iam:ListRoles"}))
        command = re.search(r"aws iam put-role-policy --role-name installer --policy-name joiner-install-\w+ --policy-document '(.*?)'", said)
        statement = json.loads(command[1])["Statement"]
        self.assertEqual(statement, [{"Effect": "Allow", "Action": sorted(denied | {"iam:ListRoles"}), "Resource": "*"}])
        self.assertIn("permission set in IAM Identity Center", self.judged(1, self.SESSION, Simulator(denied)))
        said = self.judged(1, f"arn:aws:iam::{ACCOUNT}:user/me", Simulator(listed()))
        self.assertEqual(set(re.findall(r'"(\w+:\w+)"', re.search(r"put-user-policy .*", said)[0])), listed())

    def test_one_that_is_missing_ends_an_installation_before_anything_is_changed(self):
        command = ("install", *site(), "--artifacts", RELEASE, "--yes")
        kubectl("delete", "namespace", "joiner", "--ignore-not-found")
        for call in ("ec2:CreateTags", "lambda:InvokeFunction", "cloudformation:ExecuteChangeSet"):
            said = self.judged(1, f"arn:aws:iam::{ACCOUNT}:user/me", Simulator([call]), *command)
            self.assertIn("step preflight: permissions in the account: missing: aws iam put-user-policy --user-name me", said)
            self.assertIn(f'"Action":["{call}"]', said)
        self.assertEqual(kubectl("get", "namespace", "joiner", "--ignore-not-found"), "")
        said = self.judged(0, f"arn:aws:iam::{ACCOUNT}:user/me", Simulator(["ec2:CreateTags"]), *command[:-1], "--dry-run", "--force")
        self.assertIn("--force goes on", said)

    def test_what_conditions_decide_about_is_told_and_no_obstacle(self):
        said = self.judged(0, self.SESSION, Simulator(open=["ec2:CreateTags"]))
        self.assertIn("conditions decide about these: ec2:CreateTags", said)

    def test_who_may_not_ask_is_told_so(self):
        denial = '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>'
        said = self.judged(0, self.SESSION, lambda _: (403, "text/xml", denial))
        self.assertIn("permissions in the account: not known (permissions in the account: iam:SimulatePrincipalPolicy is not allowed", said)

    def test_the_accounts_root_is_not_asked_about(self):
        simulator = Simulator()
        self.assertIn("all: it is the account's root", self.judged(0, f"arn:aws:iam::{ACCOUNT}:root", simulator))
        self.assertEqual(simulator.asked, [])


class Quotas(Case):
    KIND = "application/x-amz-json-1.1"

    def told(self, code: int, vcpus=None, free=None) -> str:
        def quota(parameters: dict):
            if vcpus is None:
                return 400, self.KIND, json.dumps({"__type": "AccessDeniedException", "Message": "no"})
            of = {"QuotaCode": parameters["QuotaCode"], "ServiceCode": parameters["ServiceCode"], "Value": float(vcpus[parameters["QuotaCode"]])}
            return 200, self.KIND, json.dumps({"Quota": of})

        settings = {"AccountLimit": {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": free}, "AccountUsage": {}}
        with Recorder() as recorder:
            recorder.answers = {"servicequotas:GetServiceQuota": quota}
            if free is not None:
                recorder.answers["lambda:GetAccountSettings"] = lambda _: (200, "application/json", json.dumps(settings))
            return self.preflight(code, recorder)

    def test_enough(self):
        said = self.told(0, {"L-1216C47A": 640, "L-34B43A08": 64}, free=6)
        for part in ("Lambda concurrency: 6 are free, 6 are needed", "quota of on-demand vCPUs: 640", "quota of spot vCPUs: 64"):
            self.assertIn(part, said)

    def test_few_vcpus_are_told_with_the_command_that_asks_for_more(self):
        said = self.told(0, {"L-1216C47A": 5, "L-34B43A08": 64})
        more = "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code L-1216C47A --desired-value 256"
        self.assertIn(f"quota of on-demand vCPUs: 5 are few: {more}", said)

    def test_too_little_concurrency_is_an_obstacle(self):
        said = self.told(1, {"L-1216C47A": 640, "L-34B43A08": 64}, free=5)
        self.assertIn("5 are free and 6 are needed: aws service-quotas request-service-quota-increase --service-code lambda", said)

    def test_what_is_not_answered_is_not_known(self):
        said = self.told(0)
        self.assertIn('quota of spot vCPUs: not known (quota of spot vCPUs: servicequotas:GetServiceQuota is not allowed; add to the policy', said)


if __name__ == "__main__":
    unittest.main()
