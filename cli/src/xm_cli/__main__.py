"""``python -m xm_cli`` is ``xm``."""

from xm_cli.main import main

main()
