# The device's side of a launch of Paddle Lite's benchmark_bin: POSIX sh, in the launch's folder.
#
#   sh benchmark_bin.sh [SEED INPUTS OUTPUTS]... -- PROGRAM [ARG]...
#
# Runs PROGRAM once, timed; then once for each SEED on other INPUTS, for its OUTPUTS (file names
# joined by ":"). Its exit status is that of the timed run. Prints what PROGRAM wrote to stderr, and
# then, each part after a line that begins with "=== ", what it wrote to stdout and the hashes of
# the outputs. An older PROGRAM does not know --output_data_path: then there are none.
set -u
export LD_LIBRARY_PATH="$PWD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

timed() {
    while [ "$1" != -- ]; do shift 3; done
    shift
    "$@"
}

check() {
    inputs=$2 outputs=$3
    while [ "$1" != -- ]; do shift 3; done
    shift
    # Of a flag that is given twice, gflags takes the last.
    "$@" --warmup=0 --repeats=1 --input_data_path="$inputs" --output_data_path="$outputs"
}

echo "=== begin"
timed "$@" >stdout
status=$?
echo "=== stdout"
cat stdout
while [ "$status" = 0 ] && [ "$1" != -- ]; do
    check "$@" >check 2>&1
    echo "=== check $1 $?"
    # shellcheck disable=SC2086 # the names are meant to be split
    (IFS=: && set -f && sha256sum $3) || tail -c 300 check
    shift 3
done
exit "$status"
