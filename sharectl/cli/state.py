"""`sharectl state`: look into the state, and repair it by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharectl.cli import options as opt
from sharectl.cli.complete import complete_address
from sharectl.cli.history import history
from sharectl.model.kinds import Kind, is_of, resource_of
from sharectl.render.formats import Format

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharectl.cli.session import Session
    from sharectl.model.records import OperationRecord
    from sharectl.state.sqlite.copies import Copy

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    help="Look into the state, and repair it by hand.",
)

AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", autocompletion=complete_address)]


@app.command(name="list")
def list_(
    *,
    backend: opt.Backend = None,
    rules: Annotated[bool, typer.Option("--rules", help="Access rules as well.")] = False,
    output: Annotated[Format, opt.output("state")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """List what the state holds."""
    from dataclasses import replace

    from sharectl.cli.session import start
    from sharectl.workspace.lookup import view_of_backends

    session = start(chdir)
    with session.repository.existing_store() as store, store.read() as reader:
        view = view_of_backends(reader, frozenset(backend or ()))
        busy = store.lock_status()
        if busy is not None and not busy.expired:
            view = replace(view, writer=busy)
        known = reader.rules() if rules else None
    session.output.show("state", output, view, known)


@app.command()
def show(
    address: AddressArgument,
    *,
    output: Annotated[Format, opt.output("record")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """Show one resource as the state holds it."""
    from sharectl.cli.session import parse_address, start
    from sharectl.workspace.lookup import read_record

    session = start(chdir)
    wanted = resource_of(parse_address(address))
    with session.repository.existing_store() as store:
        session.output.show("record", output, *read_record(store, wanted))


@app.command()
def rm(
    addresses: Annotated[list[str], typer.Argument(metavar="ADDRESS...", autocompletion=complete_address)],
    *,
    lock_timeout: opt.LockTimeout = "0",
    chdir: opt.Chdir = Path(),
) -> None:
    """Forget resources without touching them: they stay on their backend, and can be imported again."""
    from sharectl.cli.session import edited_state, parse_address, start
    from sharectl.workspace.interventions import forget_resources, forgotten_note

    session = start(chdir)
    wanted = list(dict.fromkeys(parse_address(address) for address in addresses))
    with edited_state(session, f"state rm {' '.join(wanted)}", lock_timeout) as edit:
        with edit.store.read() as reader:
            rules = reader.rules(wanted)
        for record in forget_resources(edit, wanted).values():
            session.output.note(forgotten_note(record, rules.get(record.address, ())))


@app.command()
def mv(
    former: AddressArgument,
    address: Annotated[str, typer.Argument(metavar="NEW-ADDRESS")],
    *,
    lock_timeout: opt.LockTimeout = "0",
    chdir: opt.Chdir = Path(),
) -> None:
    """Give a resource another address; nothing changes on its backend. What is on a backend follows it under its new name.

    To swap two names, give one of them a third in between. Change the manifests as well: a plan goes by them.
    """
    from sharectl.cli.session import edited_state, parse_address, start
    from sharectl.workspace.interventions import rename_backend, rename_resource, require_name

    session = start(chdir)
    old, new = parse_address(former), parse_address(address)
    require_name(new)
    with edited_state(session, f"state mv {old} {new}", lock_timeout) as edit:
        if is_of(Kind.BACKEND, old) and is_of(Kind.BACKEND, new):
            count = rename_backend(edit, old, new)
            follow = "1 resource on it follows" if count == 1 else f"{count} resources on it follow"
            session.output.note(f"{old} is {new} now; {follow}.")
        else:
            rename_resource(edit, old, new)
            session.output.note(f"{old} is {new} now.")


def _makers(session: Session, operations: Sequence[OperationRecord]) -> Mapping[str, str]:
    """Return, by operation, the worker that makes its call now; only a state in a database has workers."""
    from sharectl.model.state_urls import is_in_file

    if not operations or is_in_file(session.project.state_url):
        return {}
    from sharectl.workspace.remote import makers_of

    return makers_of(session.project)


@app.command()
def operations(*, output: Annotated[Format, opt.output("operations")] = Format.TEXT, chdir: opt.Chdir = Path()) -> None:
    """List operations that began on a backend and have no recorded end. The next `sharectl apply` asks the backends and resolves them."""
    from sharectl.cli.session import start
    from sharectl.workspace.interventions import open_operations

    session = start(chdir)
    with session.repository.existing_store() as store:
        found = open_operations(store)
        busy = store.lock_status()
    session.output.show("operations", output, found, _makers(session, found))
    if output is not Format.TEXT:
        return
    if found and busy is not None and not busy.expired:
        session.output.note(
            f"{busy.holder.name} has been at work since {busy.acquired_at}; they may belong to that run."
        )
    elif found:
        session.output.note(
            "The next `sharectl apply` asks their backends. `sharectl state drop OPERATION` gives up one whose backend is gone for good."
        )


@app.command()
def drop(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="OPERATION...",
            help="As `state operations` lists them: ids, addresses, or the ids of their resources.",
        ),
    ],
    *,
    yes: opt.Yes = False,
    lock_timeout: opt.LockTimeout = "0",
    chdir: opt.Chdir = Path(),
) -> None:
    """Drop open operations about which no backend can be asked any more. What they may have made or changed there is not recorded."""
    from sharectl.cli.session import edited_state, start
    from sharectl.workspace.interventions import chosen_operations, drop_operations, open_operations

    session = start(chdir)
    out = session.output
    with edited_state(session, f"state drop {' '.join(names)}", lock_timeout) as edit:
        chosen = chosen_operations(open_operations(edit.store), names)
        out.show("operations", Format.TEXT, chosen, _makers(session, chosen))
        out.note(
            "No backend is asked. What these operations may have made stays there and is not in the state; what they may have changed "
            "or removed is recorded as it was before. The next plan shows what is there, where the backend can be read."
        )
        session.agree("Drop them?", yes=yes)
        drop_operations(edit, chosen)
        out.note(f"{len(chosen)} dropped.")


@app.command()
def pull(*, chdir: opt.Chdir = Path()) -> None:
    """Write the whole state to standard output, as one JSON document."""
    from sharectl.cli.session import start

    session = start(chdir)
    with session.repository.existing_store() as store:
        for part in store.export_document():
            session.output.write(part.decode())


@app.command()
def push(
    document: Annotated[Path, typer.Argument(metavar="FILE", help="What `state pull` wrote.")],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Even if it is of another state, or older than the present one.")
    ] = False,
    lock_timeout: opt.LockTimeout = "0",
    chdir: opt.Chdir = Path(),
) -> None:
    """Replace the whole state with a document that `state pull` wrote."""
    from sharectl.cli.session import edited_state, start
    from sharectl.workspace.interventions import expect_document, read_document

    session = start(chdir)
    content = read_document(session.path(document))
    if not session.repository.has_state():
        expect_document(content, str(document))
    # The document is compared with the state as it is: the record of this run would make that newer.
    with edited_state(session, f"state push {document.name}", lock_timeout, create=True, records=False) as edit:
        edit.store.import_document(edit.lease, content, force=force)
        session.output.note(f"The state is that of {document} now.")


@app.command()
def backup(
    *,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FILE|DIR",
            help="A file, or a folder, where it gets a name of its own. Without this, it joins the copies on this machine.",
        ),
    ] = None,
    chdir: opt.Chdir = Path(),
) -> None:
    """Write a backup of the whole state, as it is at one moment, and print its path. `state restore` brings it back."""
    from datetime import UTC, datetime

    from sharectl.cli.session import start
    from sharectl.workspace.backups import back_up_here, back_up_to

    session = start(chdir)
    now = datetime.now(UTC)
    with session.repository.existing_store() as store:
        if to is None:
            made = back_up_here(store, session.project, os.environ, now)
        else:
            made = back_up_to(store, session.project, session.path(to), now)
    session.output.write(f"{made.path}\n")
    session.output.note(f"Serial {made.serial}, {made.mark.resources} resources, lineage {made.lineage}.")


@app.command()
def restore(
    copy: Annotated[
        str | None,
        typer.Argument(
            metavar="[COPY]",
            help="The name of a copy, or the path of a backup. Without one: with --yes the newest copy, else a list.",
        ),
    ] = None,
    *,
    yes: opt.Yes = False,
    force: Annotated[bool, typer.Option("--force", help="Even over a newer state, or one of another lineage.")] = False,
    lock_timeout: opt.LockTimeout = "0",
    output: Annotated[Format, opt.output("copies")] = Format.TEXT,
    chdir: opt.Chdir = Path(),
) -> None:
    """List the copies that sharectl keeps of the state, or make one of them, or a backup, the state again.

    Copies are found without the state: by the path of the project, or by its git repository.
    """
    from sharectl.cli.session import start
    from sharectl.workspace.copies import find_copies, is_state, lineage_of_state, named_copy, newest_copy

    session = start(chdir)
    if copy is not None and session.path(Path(copy)).is_file():
        from sharectl.workspace.backups import read_backup

        made = read_backup(session.path(Path(copy)).resolve())
        bring_back(session, made, lock_timeout, yes=yes, force=force)
        return
    kept = find_copies(session.project, os.environ)
    if copy is not None or yes:
        if copy is None:
            chosen = newest_copy(kept, lineage_of_state(lambda: session.repository.store(hint=False)))
        else:
            chosen = named_copy(kept, copy)
        bring_back(session, chosen, lock_timeout, yes=yes, force=force)
        return
    session.output.show("copies", output, kept.own, kept.others)
    if kept.own and output is Format.TEXT:
        newest = kept.own[0].name
        if is_state(kept.own[0], lambda: session.repository.store(hint=False)):
            session.output.note(
                "The newest of them is what the state holds now; `sharectl state restore COPY --force` goes back to another."
            )
        else:
            session.output.note(f"`sharectl state restore {newest}` makes the newest of them the state.")


@app.command()
def migrate(
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="URL", help="The new place: `postgresql://USER@HOST/DATABASE?name=NAME`, or a file."
        ),
    ],
    yes: opt.Yes = False,
    lock_timeout: opt.LockTimeout = "0",
    chdir: opt.Chdir = Path(),
) -> None:
    """Move the state to another place. It is copied and compared row by row; then the old place is marked, and refuses writes."""
    from sharectl.cli.session import edited_state, start
    from sharectl.model.state_urls import location_in_state_url
    from sharectl.workspace.moving import finish_move, move_state, target_url
    from sharectl.workspace.run import describe_run

    session = start(chdir)
    url = target_url(to, session.path(Path()))
    session.output.note(f"The state is at {session.project.state_location}.")
    session.agree(f"Move it to {location_in_state_url(url)}?", yes=yes)
    command = "state migrate"
    moved = finish_move(session.project.state_url, url, describe_run(command, session.project.root, os.environ))
    if moved is None:
        with edited_state(session, command, lock_timeout) as edit:
            moved = move_state(edit, url)
    session.output.note(
        f"All {moved.resources} resources, with rules and history, are at {moved.location} now, and equal."
    )
    session.output.note("Name that place as `state.url` in sharectl.yaml; the old one only says where it went.")


app.command(name="history")(history)


def _was_cut_short(session: Session) -> bool:
    """Tell whether an earlier `state restore` ended before the state that it brought back had a copy: nothing is worked with until it has one."""
    with session.repository.store(hint=False) as store:
        return session.repository.overtaken(store) is not None


def bring_back(session: Session, copy: Copy, lock_timeout: str, *, yes: bool, force: bool) -> None:
    """Make `copy` the state, once that is agreed to; a state that is damaged is set aside. Raises StateError."""
    from sharectl.cli.session import edited_state
    from sharectl.workspace.copies import content_of_copy, content_of_state, hold_the_same
    from sharectl.workspace.interventions import bring_back_document, expect_document

    output = session.output
    url, path = session.project.state_url, session.project.state_location
    held = content_of_state(lambda: session.repository.store(hint=False))
    output.note(
        f"Copy {copy.name}: taken at {copy.taken_at}, serial {copy.serial}, {copy.mark.resources} resources, lineage {copy.lineage}."
    )
    document = content_of_copy(copy)
    expect_document(document, copy.name)
    if held is None:
        output.note(f"The state at {path} is damaged; it is kept beside it under another name.")
    elif hold_the_same(held, document) and not _was_cut_short(session):
        output.note(f"The state at {path} holds just that: nothing is to be brought back.")
        return
    output.note("Changes made after that copy are not in it: the next plan shows where the backends differ.")
    session.agree(f"Make this the state at {path}?", yes=yes)
    if held is None:
        from sharectl.state.stores import kind_of_store

        output.note(f"The damaged state is {kind_of_store(url).set_aside(url)} now.")
    with edited_state(session, f"state restore {copy.name}", lock_timeout, create=True) as edit:
        bring_back_document(edit, document, force=force)
    output.note(f"The state is that of {copy.taken_at} now; look at `sharectl plan` before you apply.")
