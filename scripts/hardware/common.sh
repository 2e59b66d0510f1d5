# Read by the scripts beside it: what they need of this machine, and packages of another Debian.
# shellcheck shell=bash

# need PROGRAM PACKAGE WHY ... : installs the packages of missing programs as root, else names them.
need() {
    local -a missing=()
    while (($#)); do
        if ! command -v "$1" >/dev/null; then
            echo "Needed: $2, $3" >&2
            missing+=("$2")
        fi
        shift 3
    done
    ((${#missing[@]})) || return 0
    if ! command -v apt-get >/dev/null; then
        echo "There is no apt-get here: install these in this system's own way." >&2
        exit 1
    elif ((EUID != 0)); then
        echo "Not root, so nothing is installed: sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# mirror: where this machine takes Debian itself from, so that no place is named here.
mirror() {
    apt-get indextargets --format '$(SITE) $(COMPONENT)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null | awk '$2 == "main" {print $1; exit}'
}

# apt_of FOLDER SUITE COMMAND ... : apt-get or apt-cache on another release of Debian, beside this machine's own.
apt_of() {
    local folder="$1" suite="$2"
    shift 2
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    # The lists of testing expire after a week, and a mirror of them may be older.
    echo "deb [check-valid-until=no signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $suite main" \
        >"$folder/$suite.list"
    local apt="$1"
    shift
    "$apt" -o "Dir::Etc::sourcelist=$folder/$suite.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferencesparts=/dev/null -o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache" \
        -o APT::Sandbox::User=root "$@"
}
