"""Logins to the API server with presigned STS URLs: what EKS takes is taken, what it refuses is refused."""

import base64
import datetime
import json
import os
import ssl
import urllib.error
import urllib.request

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .environment import CLUSTER, Case, client

HOST = "sts.us-east-1.amazonaws.com"
SECRET = os.environ.get("AWS_SECRET_ACCESS_KEY", "")


class At(SigV4QueryAuth):
    """Signs at a time of one's choice."""

    def __init__(self, *arguments, at, **options):
        super().__init__(*arguments, **options)
        self.at = at

    def _modify_request_before_signing(self, request):
        request.context["timestamp"] = self.at.strftime("%Y%m%dT%H%M%SZ")
        super()._modify_request_before_signing(request)


def token(cluster=CLUSTER, host=HOST, secret=SECRET, minutes=0, extra="", action="GetCallerIdentity", expires=60, session=None):
    url = f"https://{host}/?Action={action}&Version=2011-06-15{extra}"
    headers = {"x-k8s-aws-id": cluster} if cluster else {}
    request = AWSRequest(method="GET", url=url, headers=headers)
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    At(Credentials("testing", secret, session), "sts", "us-east-1", expires=expires, at=at).add_auth(request)
    return "k8s-aws-v1." + base64.urlsafe_b64encode(request.url.encode()).decode().rstrip("=")


class Login(Case):
    @classmethod
    def setUpClass(cls):
        cluster = client("eks").describe_cluster(name=CLUSTER)["cluster"]
        cls.endpoint = cluster["endpoint"]
        authority = base64.b64decode(cluster["certificateAuthority"]["data"]).decode()
        cls.context = ssl.create_default_context(cadata=authority)

    def status(self, bearer, path="/api/v1/namespaces/default/pods", method="GET", body=None):
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(self.endpoint + path, headers=headers, method=method, data=data)
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def test_a_token_signed_for_this_cluster_is_accepted(self):
        self.assertEqual(self.status(token()), 200)
        self.assertEqual(self.status(token(session="a session/token+with=signs")), 200)
        self.assertEqual(self.status(token(minutes=-10)), 200)

    def test_others_are_refused(self):
        for name, wrong in [
            ("another cluster", token(cluster="another")),
            ("no cluster", token(cluster="")),
            ("another host", token(host="127.0.0.1:4566")),
            ("another secret", token(secret="wrong")),
            ("expired", token(minutes=-16)),
            ("from the future", token(minutes=16)),
            ("another action", token(action="AssumeRole")),
            ("another parameter", token(extra="&RoleArn=x")),
            ("too long an expiry", token(expires=3600)),
            ("no token", "k8s-aws-v1."),
            ("another prefix", "k8s-aws-v2." + token()[11:]),
            ("padded", token() + "=="),
        ]:
            self.assertEqual(self.status(wrong), 401, name)

    def test_the_functions_may_do_what_their_role_says_and_no_more(self):
        good = token()
        claim = {
            "apiVersion": "karpenter.sh/v1",
            "kind": "NodeClaim",
            "metadata": {"name": "login-test"},
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"},
                "requirements": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}],
            },
        }
        claims = "/apis/karpenter.sh/v1/nodeclaims"
        self.assertEqual(self.status(good, claims, "POST", claim), 201)
        self.assertEqual(self.status(good, f"{claims}/login-test", "DELETE"), 200)
        for path in [
            "/api/v1/nodes",
            "/apis/karpenter.sh/v1/nodepools",
            "/apis/karpenter.k8s.aws/v1/ec2nodeclasses",
            "/apis/policy/v1/poddisruptionbudgets",
            "/apis/storage.k8s.io/v1/csinodes",
            "/apis/apps/v1/daemonsets",
            "/apis/coordination.k8s.io/v1/namespaces/joiner/leases",
        ]:
            self.assertEqual(self.status(good, path), 200, path)
        self.assertEqual(self.status(good, "/api/v1/secrets"), 403)
        self.assertEqual(self.status(good, "/api/v1/nodes", "POST", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "x"}}), 403)
        self.assertEqual(self.status(good, "/apis/coordination.k8s.io/v1/namespaces/default/leases"), 403)
