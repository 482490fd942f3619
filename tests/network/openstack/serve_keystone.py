"""Serve Keystone's API from a folder that holds its configuration; run by the Python of Neutron's own virtual environment.

`serve_keystone.py FOLDER PASSWORD`: makes the account `admin` with that password, chooses a port, and writes it to FOLDER/port once the
API answers there. The catalogue has Keystone alone.
"""

import base64
import secrets
import sys
from pathlib import Path

from keystone.cmd import bootstrap
from keystone.common.sql import upgrades
from keystone.server.flask import core
from serving import listen, serve


def make_keys(folder: Path) -> None:
    """Make the keys of tokens and receipts, and those of credentials."""
    for name in ("fernet", "credential"):
        (folder / name).mkdir(mode=0o700)
        for number in range(2):
            key = folder / name / str(number)
            key.write_bytes(base64.urlsafe_b64encode(secrets.token_bytes(32)))
            key.chmod(0o600)


def main() -> None:
    """Make keys, tables and the first account, and serve until killed."""
    folder, password = Path(sys.argv[1]), sys.argv[2]
    sys.argv = ["keystone-api"]
    files = [str(folder / "keystone.conf")]
    make_keys(folder)
    application = core.initialize_application("public", upgrades.offline_sync_database_to_version, config_files=files)
    listener = listen(application, 0)
    bootstrap.backends.load_backends = dict  # the application has loaded them, and they can be loaded once
    first = bootstrap.Bootstrapper()
    first.admin_username = first.project_name = first.admin_role_name = "admin"
    first.admin_password = password
    first.service_name = "keystone"
    first.region_id = "RegionOne"
    first.public_url = f"http://127.0.0.1:{listener.effective_port}/v3"
    first.bootstrap()
    serve(folder, listener)


if __name__ == "__main__":
    main()
