# Stops one test server when no process that uses it is alive any more, and removes its folders.
#
# It runs detached from the test that started it, so it also works after a panic, Ctrl-C or SIGKILL.
# Arguments: the server's home (with users/), its data folder, its process id file, the shared record,
# the server's id, the seconds to wait after the last user, the signal that stops the server, and what the
# server's command line contains.
home=$1 data=$2 pidfile=$3 current=$4 id=$5 linger=$6 signal=$7 mark=$8

trap '' HUP INT

in_use() {
    for user in "$home"/users/*; do
        pid=${user##*/}
        case $pid in *[!0-9]*) continue ;; esac
        kill -0 "$pid" 2>/dev/null && return 0
        rm -f "$user"
    done
    return 1
}

command_line() {
    if [ -r "/proc/$1/cmdline" ]; then tr '\0' ' ' <"/proc/$1/cmdline"; else ps -o args= -p "$1"; fi
}

stop() {
    # Only this server's record is withdrawn: a newer server may have taken its place.
    grep -q "\"id\":\"$id\"" "$current" 2>/dev/null && rm -f "$current"
    # A process may have joined before the record was withdrawn; it keeps its server.
    while [ -z "$hurry" ] && in_use; do sleep 1; done
    pid=$(head -n 1 "$pidfile" 2>/dev/null)
    # After a reboot the number may belong to anybody: the command line tells.
    if [ -n "$pid" ] && command_line "$pid" | grep -qF -e "$mark" && kill -"$signal" "$pid" 2>/dev/null; then
        tries=0
        while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 10 ]; do sleep 1; tries=$((tries + 1)); done
        kill -KILL "$pid" 2>/dev/null
    fi
    # A server that is still starting or stopping may write into the folder while it is being removed.
    tries=0
    while ! rm -rf "$data" 2>/dev/null && [ "$tries" -lt 10 ]; do sleep 1; tries=$((tries + 1)); done
    rm -rf "$home"
}

hurry=
trap 'hurry=1; stop; exit 0' TERM
idle=0
while [ "$idle" -lt "$linger" ]; do
    sleep 1
    if in_use; then idle=0; else idle=$((idle + 1)); fi
done
stop
