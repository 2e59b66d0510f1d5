#!/bin/sh
# Steps of an upgrade that 4auth-server.service takes in one start, while connections wait; templates/upgrade.conf.j2 names them.
# Root keeps and settles, the server's user tries. Killed before it is settled, the release of before is in force, and .before has
# its database.
set -eu
step=$1 release=$2 before=$3 keeps=$4
steps=/run/4auth-upgrade state=/var/lib/4auth/server
# In the unit's own folder, which is new at each start.
served=/run/4auth-server/served

put_in_force() {
    ln -sfn "releases/$1" /opt/4auth/current.new
    mv -T /opt/4auth/current.new /opt/4auth/current
    echo "$1" > "$steps/in_force"
}

case $step in
keep)
    # Once: a server that is started anew later has nothing to try.
    mv "$steps/wanted" "$steps/trying" 2> /dev/null || exit 0
    cd "$state"
    if [ "$keeps" = yes ]; then
        # The log's checkpoints go with it: beside older ones the database would look cut.
        rm -rf .before .before.new
        mkdir -m 0700 .before.new
        cp -a store checkpoints .before.new
        sync
        mv -T .before.new .before
    fi
    touch "$steps/kept"
    ;;
try)
    [ -e "$steps/kept" ] || exit 0
    bin=/opt/4auth/releases/$release/bin settings=/etc/4auth/server.toml
    "$bin/4auth-provision" --settings "$settings" site upgrade --yes
    "$bin/4auth-server" --settings "$settings" --trial
    touch "$served"
    ;;
settle)
    mv "$steps/trying" "$steps/tried" 2> /dev/null || exit 0
    rm -f "$steps/kept"
    if [ -e "$served" ]; then
        put_in_force "$release"
    else
        cd "$state"
        if [ -d .before ]; then
            rm -rf store checkpoints
            cp -a .before/store .before/checkpoints .
            sync
        fi
        put_in_force "$before"
        rm -rf "$state/.before"
    fi
    ;;
esac
