"""`python -m sbir_toolkit.cli`."""

import sys

from sbir_toolkit.cli import main

sys.exit(main())
