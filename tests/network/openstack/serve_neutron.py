"""Serve Neutron's API from a folder that holds its configuration; run by the Python of Neutron's own virtual environment.

`serve_neutron.py FOLDER PORT`: writes the port to FOLDER/port once the API answers there. PORT 0 chooses a free one.
"""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from neutron import server
from neutron.common import config
from neutron.db.migration.models import head
from neutron.server import api
from neutron_lib.db import api as database
from oslo_config import cfg
from serving import listen, serve


def make_tables(folder: Path) -> None:
    """Make the tables from the models: Neutron's migrations alter constraints, which SQLite cannot."""
    config.register_common_config_options()
    config.init([], default_config_files=[str(folder / "neutron.conf"), str(folder / "ml2_conf.ini")])
    engine = database.get_context_manager().writer.get_engine()
    head.get_metadata().create_all(engine)
    engine.dispose()
    with closing(sqlite3.connect(folder / "neutron.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    cfg.CONF.reset()


def main() -> None:
    """Make the tables where there are none, and serve until killed."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    sys.argv = ["neutron-api"]
    os.environ["OS_NEUTRON_CONFIG_DIR"] = str(folder)
    os.environ["OS_NEUTRON_CONFIG_FILES"] = "neutron.conf;ml2_conf.ini"
    if not (folder / "neutron.sqlite").exists():
        make_tables(folder)
    application = server.boot_server(api.api_server, prog="neutron-api")
    serve(folder, listen(application, port))


if __name__ == "__main__":
    main()
