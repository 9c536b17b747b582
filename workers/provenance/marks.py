"""What an operator has put into finished files, opened once when a worker starts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.core.config import Settings
from app.core.spec import GenerationSpec
from workers.provenance.certificates import signing_identity
from workers.provenance.generation_data import GenerationData
from workers.provenance.remembering import RememberingSigner, Signer
from workers.provenance.software import software_version


@dataclass(frozen=True)
class Marks:
    """Without arguments: none.

    Attributes:
        credentials: who signs, or None.
        embeds_data: whether files say how they were made where the request does not choose.
    """

    credentials: Signer | None = None
    embeds_data: bool = False

    def about(self, spec: GenerationSpec) -> GenerationData | None:
        """What the file of this request is to say of how it was made."""
        wanted = self.embeds_data if spec.embed_metadata is None else spec.embed_metadata
        return GenerationData(spec, software_version()) if wanted else None


UNMARKED: Final = Marks()


def open_marks(settings: Settings, now: datetime) -> Marks:
    """What the settings ask for.

    Raises:
        ConfigurationError: nobody can sign with the certificate and key that they name.
    """
    embeds_data = settings.provenance.generation_data
    if not settings.provenance.credentials:
        return Marks(embeds_data=embeds_data)
    # Here, because its native library is loaded with it, and not everybody signs.
    from workers.provenance.credentials import Credentials

    credentials = Credentials(signing_identity(settings, now), settings.provenance.timestamp_url)
    return Marks(RememberingSigner(credentials), embeds_data)
