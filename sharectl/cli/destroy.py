"""`sharectl destroy`: remove everything that the state holds, as each deletion policy says."""

from __future__ import annotations

from pathlib import Path

import typer

from sharectl.cli import options as opt

app = typer.Typer(rich_markup_mode=None)


@app.command()
def destroy(
    *,
    file: opt.Files = None,
    target: opt.Target = None,
    exclude: opt.Exclude = None,
    label: opt.Label = None,
    backend: opt.Backend = None,
    refresh: opt.RefreshMode = opt.Refresh.FULL,
    yes: opt.Yes = False,
    override_protection: opt.OverrideProtection = None,
    lock_timeout: opt.LockTimeout = "0",
    output: opt.Output = opt.Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Remove every share and snapshot in the state: deletionPolicy delete removes the data, trash puts it aside, retain leaves it.

    Protected shares are refused. The manifests stay as they are; they still say how the backends are reached.
    """
    from sharectl.cli.applying import RunWords, run_locked
    from sharectl.cli.planning import Words, manifests_for, options_from, planned
    from sharectl.cli.session import start

    session = start(chdir)
    words = Words(target, exclude, None, label, backend, override_protection, destroy=True)
    options = options_from(session, words)
    desired = manifests_for(session, file, options)
    run_locked(
        session,
        desired.backends,
        lambda store, backends: planned(session, desired, store, backends, options, refresh.value),
        RunWords(
            "destroy",
            "Destroy all of this? Data of shares with deletionPolicy delete cannot be had back.",
            yes,
            lock_timeout,
            output,
        ),
    )
