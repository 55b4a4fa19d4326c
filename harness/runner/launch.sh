# The device's side of attached launches: POSIX sh, with busybox's or coreutils' tools.
#
#   sh launch.sh run    BASE ID LIMIT_S LOG_BYTES [NAME TARGET]... -- PROGRAM [ARG]...   < job.json
#   sh launch.sh stop   BASE ID...      end their processes
#   sh launch.sh forget BASE ID...      end their processes and remove their folders
#   sh launch.sh living BASE            print the ids of the launches whose runner is alive
#
# "run" prints one line, "STATUS BEGIN END LOG_BYTES COLLECTED", then the end of what the runner
# printed, then events.jsonl. BEGIN and END are seconds of the device's uptime. A launch that ended
# while the controller was away is not run again but handed over as it is: COLLECTED is 1.
set -u

FILE_LIMIT_BLOCKS=524288 # 256 MiB: no runner fills the disk

start_time() {
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
}

alive() { # a process number may be in use again: its start time tells
    [ -r "$1/pid" ] && read -r pid began <"$1/pid" && [ -n "$began" ] &&
        [ "$(start_time "$pid")" = "$began" ]
}

stop() {
    if alive "$1"; then
        : >"$1/stopped" # its end is ours: no result, and nothing to hand over
        # Of the forms that name a group, the one that dash, bash and busybox all take.
        kill -9 "-$pid" 2>/dev/null
    fi
}

uptime() {
    cut -d ' ' -f 1 /proc/uptime
}

run() {
    dir=$base/$1 limit=$2 log_bytes=$3
    shift 3
    collected=1
    if [ ! -e "$dir/exit" ] || [ -e "$dir/stopped" ]; then
        collected=0
        stop "$dir"
        rm -rf -- "$dir"
        { mkdir -p -- "$dir" && cd -- "$dir" && cat >job.json; } || exit 98
        while [ "$1" != -- ]; do
            ln -s -- "$2" "$1" || exit 98
            shift 2
        done
        shift
        begin=$(uptime)
        {
            # The limit stands outside the runner, which may hang in the engine's own code.
            # shellcheck disable=SC2016
            setsid sh -c '
                stat=$(sed "s/.*) //" /proc/$$/stat)
                echo "$$ $(echo "$stat" | cut -d " " -f 20)" >pid
                ulimit -f "$1"
                ulimit -c 0
                shift
                exec timeout -s KILL "$@"
            ' sh "$FILE_LIMIT_BLOCKS" "$limit" "$@" </dev/null
            status=$?
            read -r pid _ <pid && kill -9 "-$pid" 2>/dev/null # what it may have left behind
            echo "$status $begin $(uptime)" >exit.new
            mv exit.new exit
        } 2>&1 | tail -c "$log_bytes" >log
    fi
    cd -- "$dir" || exit 98
    : >>log
    : >>events.jsonl
    echo "$(cat exit) $(wc -c <log) $collected"
    cat log events.jsonl
}

verb=$1 base=$2
shift 2
case $verb in
run)
    run "$@"
    ;;
stop | forget)
    for id; do
        stop "$base/$id"
        [ "$verb" = stop ] || rm -rf -- "${base:?}/$id"
    done
    ;;
living)
    for dir in "$base"/*/; do
        if alive "$dir"; then
            basename -- "$dir"
        fi
    done
    ;;
esac
