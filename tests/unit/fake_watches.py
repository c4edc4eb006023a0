"""Stand-ins for the hosts' agents in tests of the survey and the gate."""


class FakeWatch:
    """A fake agent: keeps what it was told, and says hello as a real one does."""

    def __init__(self, host, machine=None, *, links=True, **more):
        self.host = host
        self.told = []
        self.clock = None
        self.hello = {"host": host, **more}
        if machine is not None:
            self.hello["machine"] = machine
        if links:
            addresses = (
                text.partition("/")[0]
                for interface in (machine or {}).get("interfaces", ())
                for text in interface["addresses"]
            )
            ports = {address: 4000 + number for number, address in enumerate(addresses)}
            self.hello["links"] = {"word": f"{ord(host[1]):032x}", "ports": ports}

    def tell(self, **command):
        """Keep a command."""
        self.told.append(command)

    def asked(self, since=0):
        """Return the questions that it was told to ask."""
        return [command for command in self.told[since:] if command["do"] == "ask"]


def machine(number, *names, mtu=1500, **more):
    """Return what host ``number`` shows of interfaces of these names."""
    return {
        "cpus": 4,
        "interfaces": [
            {
                "name": name,
                "mtu": mtu,
                "speed": -1,
                "addresses": [f"10.{place}.{number // 250}.{number % 250 + 1}/16"],
            }
            for place, name in enumerate(names)
        ],
        "rdma": [],
        "memlock_bytes": -1,
        "shm_bytes": 1 << 30,
        **more,
    }


def watches(hosts, *names, **more):
    """Return fake agents for so many hosts, each with interfaces of these names."""
    return [FakeWatch(f"w{n}.job", machine(n, *names, **more)) for n in range(hosts)]
