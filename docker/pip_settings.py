"""Prints this machine's pip settings as far as they mean the same inside an image: package indexes, trust, time-outs.

Left out are paths of this machine, and credentials, which would stay in the image for everybody to read: the setting
that holds them is named on standard error, its value never shown.
"""

import configparser
import pathlib
import re
import sys

KEPT = ("index-url", "extra-index-url", "trusted-host", "timeout")
# A later file overrides an earlier one, as in pip.
FILES = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")


def main() -> None:
    settings = {"cert": "/etc/ssl/certs/ca-certificates.crt"}
    for file in FILES:
        parser = configparser.RawConfigParser()
        parser.read(pathlib.Path(file).expanduser())
        for key in KEPT:
            values = parser.get("global", key, fallback="").split()
            if any(re.search("//[^/]*@", value) for value in values):
                print(f"{key} in {file} holds credentials: left out", file=sys.stderr)
            values = [value for value in values if "@" not in value and not value.startswith(("file:", "/"))]
            if values:
                settings[key] = " ".join(values)
    print("[global]")
    for key, value in settings.items():
        print(f"{key} = {value}")


if __name__ == "__main__":
    main()
