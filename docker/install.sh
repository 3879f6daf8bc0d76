#!/bin/sh
# Installs locked requirements into /opt/venv, during the image's build: install.sh FILE...
#
# kfp comes without its dependencies on purpose (requirements/kfp.txt).
set -eu
cd /build
PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 /opt/pip/bin/python install.py --into /opt/venv/bin/python "$@"

# The lock of uv, which anybody may write to.
rm -f /opt/venv/.lock

# What only building against TensorFlow needs: C++ headers (287 MB) and a C compiler's library (61 MB).
cd /opt/venv/lib/python3*/site-packages
rm -rf tensorflow/include clang/native/libclang.so

# Bytecode, once: without it every start of a container compiles TensorFlow's Python again, 11 s in place of 4.
# "unchecked": never compared with the source's time, which a copied layer may change.
/opt/venv/bin/python -m compileall -q -j 0 -x '/tests/' --invalidation-mode unchecked-hash .
