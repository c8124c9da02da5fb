"""What becomes of a frame that asks for a receipt."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

Told = Callable[[BaseException | None], None]
"""Is called once with what became of a frame: None for its RECEIPT, else what is wrong. Must not block."""


class Outcome(Future[None]):
    """Done with the broker's RECEIPT, or failed. Nobody can cancel what the broker may have carried out."""

    def cancel(self) -> bool:
        """Never."""
        return False

    def tell(self, error: BaseException | None) -> None:
        """It is confirmed, or this is wrong."""
        if error is None:
            self.set_result(None)
        else:
            self.set_exception(error)
