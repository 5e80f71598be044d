"""Lines of an interop run: one for each promise, with the client, its version and what passed. A promise that is not kept is told of and
the next one is tried; the run ends non-zero. It judges nothing itself."""
import contextlib
import re
import sys

_failed = []


class Report:
    def __init__(self, client):
        self.client = client

    def passed(self, what):
        print(f"ok    {self.client}: {what}", flush=True)

    def skipped(self, what, why):
        print(f"skip  {self.client}: {what} ({why})", flush=True)

    @contextlib.contextmanager
    def promise(self, what):
        """Runs the block; prints `ok`, or `FAIL` with what was seen instead."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except (Exception, SystemExit) as error:  # Whatever a client throws is what it says of the server.
            _failed.append(f"{self.client}: {what}")
            # A key has no place in a log, not even one that lives for a minute.
            reason = re.sub(r"(cs[kt]_[A-Za-z0-9]+)[A-Za-z0-9_-]*", r"\1…", " ".join(f"{type(error).__name__}: {error}".split()))
            print(f"FAIL  {self.client}: {what}: {reason[:600]}", flush=True)
        else:
            self.passed(what)


def end():
    """Ends the program: 0 if every promise was kept."""
    if _failed:
        print(f"interop: {len(_failed)} not kept:", *_failed, sep="\n  ", file=sys.stderr)
    sys.exit(1 if _failed else 0)


def need(condition, seen=""):
    """An assertion that shows what was seen."""
    if not condition:
        raise AssertionError(seen)
