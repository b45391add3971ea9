"""
Reviews the bearer tokens that AWS clients log in with: `k8s-aws-v1.` and the base64url of a presigned GetCallerIdentity.

EKS sends that request to STS. Here its signature is calculated again instead, from the secret that the stack handed out,
and everything that EKS asks of the URL is asked too: the real host of STS, the cluster's name among the signed headers,
a date not older than 15 minutes, no parameter beyond those of a signature.
"""

import base64
import binascii
import datetime
import re
import urllib.parse

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

PREFIX = "k8s-aws-v1."
HEADER = "x-k8s-aws-id"
HOST = re.compile(r"^sts(\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?$")
LONGEST = 4096 * 3 // 2
PARAMETERS = {
    "action",
    "version",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
    "x-amz-user-agent",
}
OLDEST = datetime.timedelta(minutes=15)
USER, GROUP = "joiner-functions", "joiner:functions"


class Refused(Exception):
    """Why a token is not good."""


def review(request: dict, cluster: str, secrets) -> dict:
    """Answers a TokenReview. `secrets(access key)` gives the secret of that key, or None."""
    token = request.get("spec", {}).get("token", "")
    try:
        key = verify(token, cluster, secrets, datetime.datetime.now(datetime.timezone.utc))
        status = {
            "authenticated": True,
            "user": {"username": USER, "groups": [GROUP], "extra": {"accessKeyId": [key]}},
        }
    except Refused as refused:
        status = {"authenticated": False, "error": str(refused)}
    return {
        "apiVersion": request.get("apiVersion", "authentication.k8s.io/v1"),
        "kind": "TokenReview",
        "status": status,
    }


def verify(token: str, cluster: str, secrets, now: datetime.datetime) -> str:
    """The access key that signed the token."""
    url = urllib.parse.urlsplit(decode(token))
    query = {name.lower(): value for name, value in urllib.parse.parse_qsl(url.query, keep_blank_values=True)}
    if url.scheme != "https" or not HOST.match(url.netloc) or url.path != "/":
        raise Refused(f"the token is signed for {url.scheme}://{url.netloc}{url.path}, not for STS")
    if unknown := sorted(set(query) - PARAMETERS):
        raise Refused(f"the token has parameters that do not belong: {unknown}")
    if query.get("action") != "GetCallerIdentity" or query.get("version") != "2011-06-15":
        raise Refused("the token asks STS for something else than GetCallerIdentity")
    signed = query.get("x-amz-signedheaders", "").split(";")
    if HEADER not in signed or "host" not in signed:
        raise Refused(f"the token does not sign the header {HEADER}")
    check_age(query, now)
    key, date, region, service, end = (query.get("x-amz-credential", "").split("/") + [""] * 5)[:5]
    if service != "sts" or end != "aws4_request" or not query["x-amz-date"].startswith(date):
        raise Refused("the token's credential scope is not one of STS")
    secret = secrets(key)
    if secret is None:
        raise Refused(f"the access key {key} is not known")
    if sign(url, query, Credentials(key, secret, query.get("x-amz-security-token")), region, signed, cluster) != query.get("x-amz-signature"):
        raise Refused("the signature does not match, or the token is for another cluster")
    return key


def decode(token: str) -> str:
    if not token.startswith(PREFIX) or len(token) > LONGEST:
        raise Refused(f"a token begins with {PREFIX}")
    text = token[len(PREFIX):]
    if "=" in text:
        raise Refused("a token's base64url has no padding")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Refused("the token is not base64url") from None


def check_age(query: dict, now: datetime.datetime) -> None:
    try:
        date = datetime.datetime.strptime(query["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        expires = int(query["x-amz-expires"])
    except (KeyError, ValueError):
        raise Refused("the token has no date or expiry") from None
    if not 0 <= expires <= 900:
        raise Refused("the token's expiry is not within 900 s")
    # STS takes a presigned URL of any expiry for 15 minutes, and so the authenticator says in its source.
    if abs(now - date) > OLDEST:
        raise Refused("the token is expired, or the clocks differ by more than 15 minutes")


def sign(url, query: dict, credentials: Credentials, region: str, signed: list[str], cluster: str) -> str:
    """The signature as it should be, by botocore's signer over the same request."""
    auth = SigV4QueryAuth(credentials, "sts", region, expires=int(query["x-amz-expires"]))
    pairs = urllib.parse.parse_qsl(url.query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if name.lower() != "x-amz-signature"]
    bare = f"https://{url.netloc}/?{urllib.parse.urlencode(kept, quote_via=urllib.parse.quote)}"
    headers = {HEADER: cluster} if HEADER in signed else {}
    request = AWSRequest(method="GET", url=bare, headers=headers)
    request.context["timestamp"] = query["x-amz-date"]
    return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
