"""The certificate that signs content credentials: the operator's, or a chain that this server makes for itself once.

C2PA wants a chain whose root is another certificate than the signer's (C2PA 2.2, 14.5): the own one has a root whose key is forgotten
once it has signed. No trust list knows it: readers show "valid, signer unknown".
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.core.config import Settings
from app.core.errors import ConfigurationError
from app.core.secret_file import write_once
from workers.provenance.software import NAME

FILE_NAME = "credentials.pem"
VALID_FOR = timedelta(days=3650)
_CLOCKS_DIFFER_BY = timedelta(hours=1)


@dataclass(frozen=True)
class SigningIdentity:
    """PEM texts.

    Attributes:
        chain: certificates, the signer's first.
        private_key: of the first one, PKCS 8; repr leaves it out.
    """

    chain: bytes
    private_key: bytes

    def __repr__(self) -> str:
        return "SigningIdentity(...)"


def signing_identity(settings: Settings, now: datetime) -> SigningIdentity:
    """What the operator configured, else what lies in the data directory (mode 0600), made by the first worker to come.

    Raises:
        ConfigurationError: a file cannot be read or made, or its certificate is not valid now.
    """
    configured = settings.provenance
    if configured.certificate is not None and configured.private_key is not None:
        identity = SigningIdentity(_read(configured.certificate), _read(configured.private_key))
        return _require_valid(identity, configured.certificate, now)
    path = settings.data_dir / FILE_NAME
    if not path.exists():
        _keep(own_identity(now), path)
    return _require_valid(_split(_read(path)), path, now)


def own_identity(now: datetime) -> SigningIdentity:
    """A new key on P-256, and a chain of two for it."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = _name("root of this server"), _name("this server")
    root = _root(root_key, root_name, now)
    leaf = _leaf(key.public_key(), name, root_key, root_name, now)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return SigningIdentity(leaf.public_bytes(pem) + root.public_bytes(pem), private)


def _name(common_name: str) -> x509.Name:
    parts = {NameOID.ORGANIZATION_NAME: f"{NAME} (self-signed)", NameOID.COMMON_NAME: common_name}
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts.items()])


def _begun(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER_BY)
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _root(key: ec.EllipticCurvePrivateKey, name: x509.Name, now: datetime) -> x509.Certificate:
    begun = _begun(name, name, key.public_key(), now)
    begun = begun.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return begun.add_extension(_usage(signs_certificates=True), critical=True).sign(key, hashes.SHA256())


def _leaf(
    key: ec.EllipticCurvePublicKey,
    name: x509.Name,
    root_key: ec.EllipticCurvePrivateKey,
    root: x509.Name,
    now: datetime,
) -> x509.Certificate:
    """C2PA's readers want a purpose of a signer; of those that they know, protecting mail is the one that all of them take."""
    begun = _begun(name, root, key, now)
    for extension, is_critical in {
        x509.BasicConstraints(ca=False, path_length=None): True,
        _usage(signs_certificates=False): True,
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]): False,
        x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()): False,
    }.items():
        begun = begun.add_extension(extension, critical=is_critical)
    return begun.sign(root_key, hashes.SHA256())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _keep(made: SigningIdentity, path: Path) -> None:
    try:
        write_once(path, made.private_key + made.chain)
    except OSError as error:
        advice = "name a certificate and key, or switch DARKROOM_PROVENANCE__CREDENTIALS off"
        raise ConfigurationError(f"{path}, to sign pictures, cannot be made ({error.strerror}): {advice}") from None


def _split(content: bytes) -> SigningIdentity:
    """The own file holds the key, then the chain."""
    start = max(content.find(b"-----BEGIN CERTIFICATE-----"), 0)
    return SigningIdentity(content[start:], content[:start])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}, which signs pictures, cannot be read: {error.strerror}") from None


def _require_valid(identity: SigningIdentity, path: Path, now: datetime) -> SigningIdentity:
    """A signature of a certificate that is over is worth nothing, and nobody would see it here."""
    try:
        signer = x509.load_pem_x509_certificates(identity.chain)[0]
    except ValueError as error:
        raise ConfigurationError(f"{path}, which signs pictures, holds no PEM certificate: {error}") from None
    begin, end = signer.not_valid_before_utc, signer.not_valid_after_utc
    if not begin <= now < end:
        raise ConfigurationError(f"{path}, which signs pictures, holds a certificate for {begin} to {end}; it is {now}")
    return identity
