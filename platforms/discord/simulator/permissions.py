"""Who may do what where: Discord's rules for roles and channel overwrites."""

from platforms.discord.simulator.catalog import ALL_PERMISSIONS, Permission
from platforms.discord.simulator.refusals import refuse
from platforms.discord.simulator.state import Channel, User, World

_DIRECT = ALL_PERMISSIONS & ~(
    Permission.MANAGE_MESSAGES | Permission.MENTION_EVERYONE | Permission.CREATE_PUBLIC_THREADS
)


def permissions_of(world: World, user: User, channel: Channel | None = None) -> int:
    """The permission bits of a person in the guild, or in one channel or thread."""
    if channel is not None and channel.is_direct:
        return _DIRECT if user.id in channel.members else 0
    if user.stranger or (user is world.bot and not world.in_guild):
        return 0
    if user.id == world.owner_id:
        return ALL_PERMISSIONS
    bits = world.roles[world.guild_id].permissions
    for role in user.roles:
        bits |= world.roles[role].permissions
    if bits & Permission.ADMINISTRATOR:
        return ALL_PERMISSIONS
    if channel is not None:
        bits = _in_channel(world, user, channel, bits)
    return bits & ~world.denied if user is world.bot else bits


def _in_channel(world: World, user: User, channel: Channel, bits: int) -> int:
    place = world.channels[channel.parent_id] if channel.is_thread and channel.parent_id else channel
    everyone = place.overwrites.get(world.guild_id)
    if everyone is not None:
        bits = bits & ~everyone.deny | everyone.allow
    of_roles = [place.overwrites[role] for role in user.roles if role in place.overwrites]
    for overwrite in of_roles:
        bits &= ~overwrite.deny
    for overwrite in of_roles:
        bits |= overwrite.allow
    own = place.overwrites.get(user.id)
    if own is not None:
        bits = bits & ~own.deny | own.allow
    return bits if bits & Permission.VIEW_CHANNEL else 0


def may(world: World, user: User, channel: Channel, needed: Permission) -> bool:
    """Whether someone sees the channel and has all of `needed` in it."""
    wanted = needed | Permission.VIEW_CHANNEL
    return permissions_of(world, user, channel) & wanted == wanted


def need(world: World, channel: Channel, needed: Permission) -> None:
    """Refuses the bot: 50001 where it sees nothing, 50013 where it may not."""
    if not may(world, world.bot, channel, Permission.VIEW_CHANNEL):
        raise refuse(50001)
    if not may(world, world.bot, channel, needed):
        raise refuse(50013)


def sending(channel: Channel) -> Permission:
    """What writing there takes."""
    return Permission.SEND_MESSAGES_IN_THREADS if channel.is_thread else Permission.SEND_MESSAGES
