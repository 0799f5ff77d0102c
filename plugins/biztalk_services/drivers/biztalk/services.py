"""Makes the model's service out of what the management API reports of a BizTalk service."""

from __future__ import annotations

from typing import Any

from biztalk_services.drivers.biztalk.editions import has_backups
from biztalk_services.drivers.biztalk.states import allowed_in, phase_of, under_way
from biztalk_services.model.service import Service, ServiceRef


def biztalk_service(ref: ServiceRef, state: str, edition: str | None = None, **reported: Any) -> Service:
    """A BizTalk service in a state, with what the state chart says of it.

    :param state: in the state chart's spelling, or one that no document has.
    :param edition: lower case, None when not reported.
    :param reported: further fields of :class:`biztalk_services.model.service.Service`.
    """
    return Service(
        ref,
        state,
        phase=phase_of(state),
        under_way=under_way(state),
        allows=allowed_in(state),
        has_backups=has_backups(edition),
        edition=edition,
        **reported,
    )
