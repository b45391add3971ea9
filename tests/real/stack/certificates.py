"""The certificate authority of one control plane, and the certificates that it signs. All are made anew at each start."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = datetime.timedelta(days=7)


class Authority:
    """Signs certificates and writes them as `<name>.crt` and `<name>.key` into a directory."""

    def __init__(self, directory: Path):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        self.certificate = (
            builder(self.name, self.name, self.key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        write(directory / "ca.crt", pem(self.certificate))

    @property
    def file(self) -> Path:
        return self.directory / "ca.crt"

    def server(self, name: str, names: list[str], addresses: list[str]) -> None:
        alternatives = [x509.DNSName(entry) for entry in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(entry)) for entry in addresses]
        self.sign(name, [(NameOID.COMMON_NAME, name)], ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def client(self, name: str, user: str, group: str) -> None:
        subject = [(NameOID.ORGANIZATION_NAME, group), (NameOID.COMMON_NAME, user)]
        self.sign(name, subject, ExtendedKeyUsageOID.CLIENT_AUTH, [])

    def sign(self, name, subject, usage, alternatives) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
        request = builder(subject, self.name, key).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        if alternatives:
            request = request.add_extension(
                x509.SubjectAlternativeName(alternatives), critical=False
            )
        certificate = request.sign(self.key, hashes.SHA256())
        write(self.directory / f"{name}.crt", pem(certificate))
        write_key(self.directory / f"{name}.key", key)

    def key_pair(self, name: str) -> None:
        """A key without a certificate: service account tokens are signed with one."""
        key = ec.generate_private_key(ec.SECP256R1())
        write_key(self.directory / f"{name}.key", key)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        write(self.directory / f"{name}.pub", public)


def builder(subject, issuer, key) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A clock may be set back a little between the start of the stack and a test.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + VALID)
    )


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def write_key(path: Path, key) -> None:
    data = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write(path, data)


def write(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)
