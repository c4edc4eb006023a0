"""Which libnccl a running process has loaded; almost no imports, for agents.

Layer: probe; imports nothing of ours.
"""

_NAME = "libnccl.so"
_FIELDS_BEFORE_PATH = 5


def parse_maps(text: str) -> tuple[str, ...]:
    """Return the files of libnccl that /proc/PID/maps shows, each once; network plugins are none.

    A file that was replaced under the process is shown without the kernel's `` (deleted)``.
    """
    found: dict[str, None] = {}
    for line in text.split("\n"):
        if _NAME not in line:
            continue
        fields = line.split(maxsplit=_FIELDS_BEFORE_PATH)
        path = fields[-1].removesuffix(" (deleted)")
        _, slash, name = path.rpartition("/")
        version = name.removeprefix(_NAME)
        if slash and len(version) < len(name) and not version.strip(".0123456789"):
            found.setdefault(path)
    return tuple(found)


def loaded_libraries(pid: int, proc: str = "/proc") -> tuple[str, ...]:
    """Return the files of libnccl that a process has loaded: none yet, one, or by mistake more.

    A library that is linked into another one statically, or a process of another user, shows
    nothing. Reading takes no memory of the process and does not stop it.
    """
    try:
        with open(f"{proc}/{pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
            return parse_maps(file.read())
    except OSError:
        return ()
