"""`python -m sharectl`."""

from __future__ import annotations

import sys

from sharectl.cli.main import main

sys.exit(main())
