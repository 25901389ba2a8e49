"""The program `xm`."""
