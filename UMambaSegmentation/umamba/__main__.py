"""`python -m umamba` is `umamba`."""

import sys

from umamba.cli.main import main

sys.exit(main())
