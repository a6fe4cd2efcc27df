"""Tokens are balanced, granted at start as they must be, and keep every group alive."""

from __future__ import annotations

from talon.compiler.check_subject import HOST, GroupId, Subject, targets
from talon.errors import ImageError


def check_tokens(subject: Subject) -> None:
    """Require for each group exactly the tokens that its sources and destinations imply."""
    params = subject.params
    sources: dict[GroupId, set[tuple[GroupId, int]]] = {g: set() for g in subject.homes}
    for sender, receiver, delay in subject.feeds:
        sources[receiver].add((sender, delay))
    for pairs in sources.values():
        if all(delay for _, delay in pairs):
            pairs.add((HOST, 0))
    dests: dict[GroupId, dict[GroupId, int]] = {g: {} for g in (*subject.homes, HOST)}
    for receiver, pairs in sources.items():
        for sender, delay in pairs:
            dests[sender][receiver] = max(delay, dests[sender].get(receiver, 0))
    sent = _sent_tokens(subject)
    for receiver, pairs in sources.items():
        _compare_tokens(
            f"END_OF_STEP tokens to group {receiver[1]} of core {receiver[0]}",
            sorted((sender, delay % params.n_slots) for sender, delay in pairs),
            sorted((s, delta) for s, r, delta, credit in sent if r == receiver and not credit),
        )
    for sender, receivers in dests.items():
        _compare_tokens(
            "CREDIT tokens to "
            + ("the host" if sender == HOST else f"group {sender[1]} of core {sender[0]}"),
            sorted(
                (receiver, (_kept(subject, receiver) - delay) % params.n_slots)
                for receiver, delay in receivers.items()
            ),
            sorted((s, delta) for s, r, delta, credit in sent if r == sender and credit),
        )
    _check_counts(subject, sources, dests)
    _check_reports(subject, sent)


def _sent_tokens(subject: Subject) -> list[tuple[GroupId, GroupId, int, int]]:
    """Return every token as (sender, receiver, delta, credit)."""
    sent: list[tuple[GroupId, GroupId, int, int]] = []
    for token in subject.image.manifest["host_tokens"]:
        cores = targets(subject, "The host", token)
        sent += [(HOST, (core, token["group"]), token["delta"], 0) for core in cores]
    for core, number in subject.homes:
        for token in subject.cores[core].group_tokens(number):
            if token["host"]:
                sent.append(((core, number), HOST, token["delta"], token["credit"]))
                continue
            for target in targets(subject, f"Group {number} of core {core}", token):
                receiver = (target, token["group"])
                sent.append(((core, number), receiver, token["delta"], token["credit"]))
    for sender, receiver, _, _ in sent:
        if receiver != HOST and receiver not in subject.homes:
            raise ImageError(
                f"A token of group {sender[1]} of core {sender[0]} goes to group {receiver[1]} of "
                f"core {receiver[0]}, which has no neurons"
            )
    return sent


def _compare_tokens(
    what: str, wanted: list[tuple[GroupId, int]], found: list[tuple[GroupId, int]]
) -> None:
    if wanted != found:
        raise ImageError(
            f"{what} must be, by sender and slot, {_listed(wanted)}, not {_listed(found)}"
        )


def _listed(tokens: list[tuple[GroupId, int]]) -> str:
    if not tokens:
        return "none"
    return ", ".join(
        f"{'host' if g == HOST else f'core {g[0]} group {g[1]}'} +{slot}" for g, slot in tokens
    )


def _check_counts(
    subject: Subject,
    sources: dict[GroupId, set[tuple[GroupId, int]]],
    dests: dict[GroupId, dict[GroupId, int]],
) -> None:
    n_slots = subject.params.n_slots
    for (core, number), pairs in sources.items():
        tables = subject.cores[core]
        entry = tables.groups[number]
        counts = (len(pairs), len(dests[core, number]))
        if (entry["n_sources"], entry["n_dests"]) != counts:
            raise ImageError(
                f"Group {number} of core {core} must wait for {counts[0]} sources and {counts[1]} "
                f"destinations, not {entry['n_sources']} and {entry['n_dests']}"
            )
        for slot in range(n_slots):
            init = tables.init[number * n_slots + slot]
            granted = (
                sum(delay > slot for _, delay in pairs),
                _permits(subject, dests[core, number], slot),
            )
            if (init["sources"], init["dests"]) != granted:
                raise ImageError(
                    f"Group {number} of core {core} must start with {granted} tokens in slot "
                    f"{slot}, not {(init['sources'], init['dests'])}"
                )
    manifest = subject.image.manifest
    permits = [_permits(subject, dests[HOST], slot) for slot in range(n_slots)]
    if (manifest["n_dests"], manifest["permit_init"]) != (len(dests[HOST]), permits):
        raise ImageError(
            f"Manifest n_dests and permit_init must be {len(dests[HOST])} and {permits}, "
            f"not {manifest['n_dests']} and {manifest['permit_init']}"
        )


def _kept(subject: Subject, group: GroupId) -> int:
    """Return how many slots a group keeps."""
    return subject.cores[group[0]].slots(group[1])


def _permits(subject: Subject, dests: dict[GroupId, int], slot: int) -> int:
    """Return the CREDIT tokens that a sender is granted at start for a slot."""
    return sum(slot < _kept(subject, group) - delay for group, delay in dests.items())


def _check_reports(subject: Subject, sent: list[tuple[GroupId, GroupId, int, int]]) -> None:
    """Require END_OF_STEP to the host from the groups that must send it, as the manifest says."""
    wanted: list[GroupId] = []
    feeds_now = {s for s, _, delay in subject.feeds if delay == 0}
    for group, item in sorted(subject.homes.items()):
        routes = subject.cores[group[0]].group_routes(group[1])
        speaks = item["emit"] == "readout" or any(route["host"] for route in routes)
        if speaks or group not in feeds_now:
            wanted.append(group)
    found = sorted(s for s, receiver, _, credit in sent if receiver == HOST and not credit)
    named = sorted((i["core"], i["group"]) for i in subject.image.manifest["end_of_step"])
    if not wanted == found == named:
        raise ImageError(
            f"END_OF_STEP to the host must come from (core, group) {wanted}, not from {found} "
            f"(manifest: {named})"
        )


def check_live(subject: Subject) -> None:
    """Require no cycle of groups without delay, and no delay longer than the slots hold."""
    waits: dict[GroupId, set[GroupId]] = {g: set() for g in subject.homes}
    for sender, receiver, delay in subject.feeds:
        if delay > subject.params.max_delay or delay >= _kept(subject, receiver):
            raise ImageError(
                f"A route to group {receiver[1]} of core {receiver[0]} must have a delay of at "
                f"most {min(subject.params.max_delay, _kept(subject, receiver) - 1)}, not {delay}"
            )
        if delay == 0 and sender != HOST:
            waits[receiver].add(sender)
    while waits:
        ready = [group for group, senders in waits.items() if not senders & waits.keys()]
        if not ready:
            cycle = ", ".join(f"core {c} group {g}" for c, g in sorted(waits))
            raise ImageError(f"Groups wait for each other in a cycle without delay: {cycle}")
        for group in ready:
            del waits[group]
