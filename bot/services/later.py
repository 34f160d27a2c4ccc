"""What a handler raises when an event has to wait for something outside that will pass."""

from datetime import timedelta


class Later(Exception):
    """Handle the event again, not before `after`, and `tries` times in all; then it is given up and the person told.

    Nothing of the event may have taken effect yet that would harm when done twice. `why` is for the log."""

    def __init__(self, why: str, after: timedelta, tries: int) -> None:
        super().__init__(why)
        self.why = why
        self.after = after
        self.tries = tries
