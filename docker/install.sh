#!/bin/sh
# Installs locked requirements during an image's build: install.sh /opt/venv FILE...
#
# install.sh /opt/framework FILE installs what /opt/venv does not have yet: a layer of its own on top of it.
# kfp comes without its dependencies on purpose (requirements/kfp.txt).
set -eu
cd /build
into=$1
shift
if [ "$into" = /opt/venv ]; then
    PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 /opt/pip/bin/python install.py --into /opt/venv/bin/python "$@"
    cd /opt/venv/lib/python3*/site-packages
else
    PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 /opt/pip/bin/python install.py --into /opt/venv/bin/python \
        --beside "$into" --without data.txt "$@"
    cd "$into"
fi

# The lock of uv, which anybody may write to.
rm -f /opt/venv/.lock "$into/.lock"

# What only building against TensorFlow needs: C++ headers (287 MB), a C compiler's library (61 MB), and the names of
# functions that no library exports (253 MB).
rm -rf tensorflow/include clang/native/libclang.so
[ ! -d tensorflow ] || /opt/pip/bin/python /build/strip_symbols.py tensorflow
# What nothing here runs: ONNX Runtime once more, for C programs (35 MB), LiteRT on a browser's GPU and for phones'
# (27 MB), TensorBoard's server (20 MB), the packages' own tests (36 MB).
rm -rf onnxruntime/capi/libonnxruntime.so.* ai_edge_litert/libLiteRtWebGpuAccelerator.so ai_edge_litert/tools/apply_plugin_main
rm -rf tensorboard_data_server/bin onnx/backend/test
find . -name tests -type d -prune -exec rm -rf {} +
# What botocore knows of AWS beyond storage and signing in (26 MB).
[ ! -d botocore/data ] || find botocore/data -mindepth 1 -maxdepth 1 -type d \
    ! -name s3 ! -name sts ! -name 'sso*' ! -name signin -exec rm -rf {} +

# Bytecode, once: without it every start of a container compiles TensorFlow's Python again, 11 s in place of 4.
# "unchecked": never compared with the source's time, which a copied layer may change.
/opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash .
