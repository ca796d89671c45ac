"""Rules of consumer groups, broken one at a time."""

from tests.mutations.mutation import Edit, Mutation

STATE = "pystream/log/groups/state.py"
MEMBER = "pystream/log/groups/member.py"
GROUP = "pystream/log/groups/consumer_group.py"

MUTATIONS = (
    Mutation(
        "a partition is taken from an owner that has not let go",
        (
            Edit(
                STATE,
                "            if its.target == number and its.owner is None:\n"
                "                its.owner,",
                "            if its.target == number and its.owner != number:\n"
                "                its.owner,",
            ),
        ),
    ),
    Mutation(
        "what a member owned stays its own when it is gone",
        (Edit(STATE, "        self.release(number, list(self.partitions))\n", ""),),
    ),
    Mutation(
        "the dead are taken for living",
        (
            Edit(
                MEMBER,
                "return not self._liveness.is_held(member.slot) or",
                "return False or",
            ),
        ),
    ),
    Mutation(
        "anybody may commit anything",
        (
            Edit(
                MEMBER,
                "                if partition not in owned:\n",
                "                if False:\n",
            ),
        ),
    ),
    Mutation(
        "what is given up is not committed",
        (
            Edit(
                GROUP,
                "        offsets = {}\n        if self._auto_commit_us is not None:\n"
                "            offsets = self._positions(leaving)\n",
                "        offsets: dict[Partition, int] = {}\n",
            ),
        ),
    ),
    Mutation(
        "an error commits what was handed out last",
        (
            Edit(
                GROUP,
                "if is_processed and self._auto_commit_us is not None:",
                "if self._auto_commit_us is not None:",
            ),
        ),
    ),
    Mutation(
        "topics that come are not noticed",
        (
            Edit(
                MEMBER,
                "            if state.hash_of(topics) != state.topics_hash:\n"
                "                return True\n",
                "            pass\n",
            ),
        ),
    ),
    Mutation(
        "a static member that is away loses its partitions at once",
        (Edit(STATE, "> member.session_timeout_us", ">= 0"),),
    ),
    Mutation(
        "sticky forgets who had what",
        (
            Edit(
                "pystream/log/groups/assignors.py",
                "        member = before.get(partition)\n",
                "        member = None\n",
            ),
        ),
    ),
    Mutation(
        "a member that was thrown out is not told",
        (Edit(GROUP, "                    self._lose(self._assigned())\n", ""),),
    ),
    Mutation(
        "a stuck member is never thrown out",
        (Edit(MEMBER, " or self._liveness.is_stuck(member, now_us)", ""),),
    ),
    Mutation(
        "strangers may commit beside members",
        (Edit(GROUP, "            if living:\n", "            if False:\n"),),
    ),
    Mutation(
        "a second consumer of an instance id takes the first one's place",
        (
            Edit(
                MEMBER,
                "if known is not None and known.away_us is None:",
                "if False:",
            ),
        ),
    ),
)
