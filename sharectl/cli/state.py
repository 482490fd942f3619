"""`sharectl state`: look into the state, and mend it by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.complete import complete_address

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Look into the state, and mend it by hand.")

AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", autocompletion=complete_address)]


@app.command(name="list")
def list_(
    *,
    backend: opt.Backend = None,
    rules: Annotated[bool, typer.Option("--rules", help="Access rules as well.")] = False,
    output: opt.DataOutput = opt.DataFormat.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """List what the state holds."""
    from sharectl.cli.session import opened_store, start
    from sharectl.render.tables import state_list_lines, state_object

    session = start(chdir)
    with opened_store(session) as store, store.read() as reader:
        view = reader.view().on_backends(frozenset(backend or ()))
        known = reader.rules() if rules else None
    if output is opt.DataFormat.JSON:
        session.output.write_json(state_object(view, known))
    else:
        session.output.write_lines(state_list_lines(view, known))


@app.command()
def show(address: AddressArgument, *, output: opt.DataOutput = opt.DataFormat.TEXT, chdir: opt.Chdir = Path()) -> None:
    """Show one resource as the state holds it."""
    from sharectl.cli.session import opened_store, parse_address, start
    from sharectl.render.tables import record_lines, record_object
    from sharectl.runs import read_record

    session = start(chdir)
    with opened_store(session) as store:
        record, rules = read_record(store, parse_address(address).partition("/access/")[0])
    if output is opt.DataFormat.JSON:
        session.output.write_json(record_object(record, rules))
    else:
        session.output.write_lines(record_lines(record, rules, color=session.output.color_out))


@app.command()
def rm(
    addresses: Annotated[list[str], typer.Argument(metavar="ADDRESS...", autocompletion=complete_address)],
    *,
    lock_timeout: opt.LockTimeout = "0",
    chdir: opt.Chdir = Path(),
) -> None:
    """Forget resources without touching them: they stay on their backend, and can be imported again."""
    from sharectl.cli.session import edited_state, parse_address
    from sharectl.runs import forget_resources

    wanted = [parse_address(address) for address in addresses]
    with edited_state(chdir, f"state rm {' '.join(wanted)}", lock_timeout) as edit:
        forget_resources(edit.store, edit.lease, edit.record, wanted)
        edit.session.output.note(f"Forgotten: {', '.join(wanted)}.")


@app.command()
def mv(
    former: AddressArgument,
    address: Annotated[str, typer.Argument(metavar="NEW-ADDRESS")],
    *,
    lock_timeout: opt.LockTimeout = "0",
    chdir: opt.Chdir = Path(),
) -> None:
    """Give a resource another address; nothing changes on its backend."""
    from sharectl.cli.session import edited_state, parse_address
    from sharectl.runs import rename_resource

    old, new = parse_address(former), parse_address(address)
    with edited_state(chdir, f"state mv {old} {new}", lock_timeout) as edit:
        rename_resource(edit.store, edit.lease, edit.record, old, new)
        edit.session.output.note(f"{old} is {new} now.")


@app.command()
def pull(*, chdir: opt.Chdir = Path()) -> None:
    """Write the whole state to standard output, as one JSON document."""
    from sharectl.cli.session import opened_store, start

    session = start(chdir)
    with opened_store(session) as store:
        session.output.write(store.export_document().decode() + "\n")


@app.command()
def push(
    document: Annotated[Path, typer.Argument(metavar="FILE", help="What `state pull` wrote.")],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also a document of another state, or an older one than is there.")
    ] = False,
    lock_timeout: opt.LockTimeout = "0",
    chdir: opt.Chdir = Path(),
) -> None:
    """Replace the whole state by a document of `state pull`."""
    from sharectl.cli.session import edited_state
    from sharectl.runs import read_document

    content = read_document(document)
    with edited_state(chdir, f"state push {document.name}", lock_timeout) as edit:
        edit.store.import_document(edit.lease, content, force=force)
        edit.session.output.note(f"The state is that of {document} now.")


@app.command()
def history(
    address: Annotated[str | None, typer.Argument(metavar="[ADDRESS]", autocompletion=complete_address)] = None,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many entries, newest first.", min=1)] = 50,
    output: opt.DataOutput = opt.DataFormat.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Show what was done; the same as `sharectl history`."""
    from sharectl.cli.history import history as show_history

    show_history(address, limit=limit, output=output, chdir=chdir)
