"""Licences of weights: what each asks of somebody who serves them. A note for operators, not legal advice; the licence itself binds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Licence:
    """One licence.

    Attributes:
        name: as its publisher writes it, short.
        note: what it asks of an operator, on one line.
        needs_acceptance: whether weights under it are imported only by an operator who says that they accept it.
        allows_commercial_use: of the weights, without a further licence.
        url: where its text is; empty where there is none.
    """

    name: str
    note: str
    needs_acceptance: bool = False
    allows_commercial_use: bool = True
    url: str = ""

    def __str__(self) -> str:
        return self.name


APACHE = Licence(
    name="Apache-2.0",
    note="free to use, host and change, commercially too; keep its notices with copies of the weights",
    url="https://www.apache.org/licenses/LICENSE-2.0",
)
FLUX1_NON_COMMERCIAL = Licence(
    name="FLUX.1 [dev] Non-Commercial",
    note="non-commercial use of the weights only, hosting for pay included (Black Forest Labs sells a commercial licence); "
    "content filters or manual review; tell users that pictures are made by AI; pass the licence on. Pictures may be used commercially",
    needs_acceptance=True,
    allows_commercial_use=False,
    url="https://github.com/black-forest-labs/flux/blob/main/model_licenses/LICENSE-FLUX1-dev",
)
FLUX_NON_COMMERCIAL = Licence(
    name="FLUX Non-Commercial",
    note="non-commercial use of the weights only, hosting for pay included (Black Forest Labs sells a commercial licence); "
    "content filters or manual review must be used; tell users that pictures are made by AI; pass the licence on",
    needs_acceptance=True,
    allows_commercial_use=False,
    url="https://github.com/black-forest-labs/flux2/tree/main/model_licenses",
)
OPENRAIL = Licence(
    name="CreativeML OpenRAIL-M",
    note="free to use, host and change, commercially too, within the uses that its attachment A forbids; pass those on to users",
    needs_acceptance=True,
    url="https://huggingface.co/spaces/CompVis/stable-diffusion-license",
)
OPENRAIL_PLUS_PLUS = Licence(
    name="CreativeML Open RAIL++-M",
    note="free to use, host and change, commercially too, within the uses that its attachment A forbids; pass those on to users",
    needs_acceptance=True,
    url="https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md",
)
CLOSED = Licence(name="no public weights", note="served through an alias, under the licence of the weights that run")
UNKNOWN = Licence(name="unknown", note="no licence is known for these weights; whoever serves them must find out")
