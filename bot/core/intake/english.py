"""The English phrases behind the rule features: each signal and the words that show it.

A phrase is looked for in the words of a message with one space between them and a full stop, question or exclamation
mark as a word of its own. A phrase matches whole words; one that ends in `*` matches the beginning of a word.
"""

from collections.abc import Mapping
from typing import Final


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.split(",") if part.strip())


def _each(heads: str, tails: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{head} {tail}" for head in _phrases(heads) for tail in tails)


_LIKED: Final = _phrases(
    """
    nice, great, good, cool, awesome, helpful, useful, handy, lovely, ideal, better, amazing, neat, sweet, fantastic,
    perfect, super, wonderful, convenient, a big help, a huge help, really nice, really great, really useful,
    really helpful, so nice, so much, very useful, very helpful, pretty cool, much better, good to, nice to, nice if,
    great if
    """
)
_DO: Final = _phrases(
    """
    add, have, get, make, support, allow, enable, implement, change, build, include, show, provide, expose, let,
    introduce, extend, remove, hide, rename, move, put, bump, turn, default, switch, please add, please make,
    please have, also add, also have, maybe add, at least
    """
)
_BROKEN: Final = _phrases(
    """
    load, open, start, show, display, appear, work, save, respond, update, render, connect, sync, log in, login, send,
    upload, download, launch, run, scroll, refresh, receive, recognize, remember, register, play, close, find, match,
    go, accept, let, return, finish, print, reach, fire, trigger, do anything, seem to, see the, see my, see any,
    see it
    """
)
_BROKEN_FORMS: Final = _phrases(
    """
    showing, loading, saving, updating, appearing, rendering, syncing, getting, displaying, receiving, coming through,
    sending, shown, saved, updated, sent
    """
)

PHRASES: Final[Mapping[str, tuple[str, ...]]] = {
    "wish_nice": _each(
        """
        would be, it'd be, that'd be, 'd be, might be, could be
        """,
        _LIKED,
    ),
    "wish_love": _phrases(
        """
        would love, 'd love, i'd like, i would like, we'd like, we would like, would like to see, like to see,
        would appreciate, would really like, would prefer, i'd prefer, i would prefer, love to see, love to have,
        would kill for, desperately need, would welcome, would benefit from, could really use, could use a,
        could use an
        """
    ),
    "wish_wish": _phrases(
        """
        i wish, we wish, wish there, wish it, wish the, wishing, i hope you, hopefully you, wishlist, wish list
        """
    ),
    "wish_please": _each(
        """
        please, pls, plz, kindly, can you please, could you please
        """,
        _DO,
    ),
    "wish_can_we": _each(
        """
        can we, could we, can you, could you, can you guys, could you guys, would you, may we, can someone,
        could someone, can it, could it, shall we, let's, let us, we should, you should, you could, you might,
        we could, want to, wanna, they should, i'd, i would
        """,
        _DO,
    ),
    "wish_plans": _phrases(
        """
        any plans, are there plans, is there a plan, plans to, plans for, planning to support, on the roadmap,
        in the roadmap, your roadmap, any chance, any eta, eta for, eta on, when will, when are we getting,
        will there be, will you, will it be possible, is it planned, will it support, any intention, in the pipeline
        """
    ),
    "wish_feature": _phrases(
        """
        feature request, feature requests, new feature, a feature, as feature, as a feature, this feature,
        enhancement, feature idea, small request, a request, request for, quality of life, ux improvement,
        improvement, improve, improving, nitpick, papercut
        """
    ),
    "wish_idea": _phrases(
        """
        i suggest, i'd suggest, i would suggest, suggest adding, suggest removing, suggestion, i propose, proposal,
        i'd propose, propose, an idea, idea :, just a thought, what about, how about, what if, why not, why don't we,
        why don't you, maybe add, perhaps add, maybe we, perhaps we, perhaps a, maybe a, have you considered,
        have you thought, consider adding, consider making, should consider, vote for, i vote, +1 for, plus one,
        bikeshed, food for thought, would it make sense, makes sense to, make sense to, worth adding, worth having,
        would it be possible, would it be ok, would it be worth, is it worth
        """
    ),
    "wish_should": _phrases(
        """
        should be able, should be possible, should have, should support, should allow, should also, should really,
        should probably, should show, should let, should at least, should default, should just, should ask,
        should be collapsed, should be an option, should be a, should be the, should be configurable, should be there,
        should be easier, should not require, shouldn't have to, shouldn't need, there should, ought to,
        should remember, should warn, should be disabled, should be enabled, should be hidden, should be sorted,
        should be shown, should automatically, should include
        """
    ),
    "wish_need": _phrases(
        """
        needs a, needs an, needs to, need a way, need a, need an, we need, really need, i need the, we really need,
        needs some, needs support, want a, want an, we want, i want, users want, people want, want the, badly need,
        is needed, are needed, would need, must have, would require, in need of, requirement
        """
    ),
    "wish_lack": _phrases(
        """
        no way to, there's no, there is no, there isn't, there are no, lack, lacks, lacking, missing, isn't supported,
        not supported, doesn't support, don't support, does not support, no support, no option, no button,
        without having to, have to manually, manually, by hand, one by one, every single time, every time i,
        each time, we have to, i have to, forced to, can't even, only lets, only allows, only supports, only shows,
        hard coded, hardcoded, used to be, not possible to, isn't possible, have no way, has no, with no way,
        can only, copy paste, copy and paste, impossible to
        """
    ),
    "wish_option": _phrases(
        """
        option to, an option, option for, options for, ability to, be able to, being able, able to, a way to, way to,
        toggle, setting to, setting for, a setting, configurable, customizable, customize, custom, a button,
        a shortcut, a flag, a checkbox, a switch, a filter, a limit, a menu, a command, a hook, an api, an endpoint,
        a column, support for, integration, integrate with, by default, dark mode, import, export, export*,
        instead of, rather than, similar to how, like slack, the way
        """
    ),
    "wish_ask": _phrases(
        """
        customers want, customers keep, customers ask, customers asked, users keep, users ask, users have asked,
        people keep asking, keep asking, keeps asking, asked for, asking for, asks for, get asked, complaining,
        complain, many requests, support team, sales, keeps coming up, comes up, in demand, clients
        """
    ),
    "wish_help": _phrases(
        """
        would help, 'd help, it would make, would make it, would make life, would make my, make it easier,
        makes it easier, easier to, would save, save us, saves time, save me, would allow, would let, would enable,
        so that, so we can, so i can, so we don't, so i don't, so people, so users, that way, would reduce,
        would solve, would fix, much easier, a lot easier, would simplify
        """
    ),
    "wish_pain": _phrases(
        """
        annoying, tedious, painful, a pain, cumbersome, confusing, frustrating, unusable, unbearable, hate, clunky,
        inconvenient, awkward, too small, too slow, too many, too much, too long, too hard, too big, too easy,
        hard to, difficult to, unreadable, tired of, sick of, bad ux, unintuitive, not intuitive, not obvious,
        drives me, driving me, bugs me, absurd, pretty shitty, sucks, ugly, who thought, moan, oversight,
        counterintuitive, a mess, drowning in, lose track, clutter*, noisy, distracting
        """
    ),
    "fault_bug": _phrases(
        """
        bug, bugs, buggy, a bug, glitch, glitches, glitchy, regression, defect, typo, memory leak, leak, leaks,
        leaking, race condition, off by one, vulnerability, exploit
        """
    ),
    "fault_broken": _phrases(
        """
        broken, broke, breaks, is breaking, borked, busted, messed up, screwed up, corrupted, corrupt, garbled, wonky,
        unusable, malfunction*, out of sync, stale, mangled, misaligned, overlap*, cut off, truncated, clipped,
        blurry, flicker*, jumps
        """
    ),
    "fault_not_work": _phrases(
        """
        doesn't work, does not work, don't work, do not work, didn't work, not working, isn't working, aren't working,
        stopped working, stop working, stops working, no longer works, no longer work, won't work, wont work,
        doesnt work, never works, never worked, hasn't worked, not work, never arrive*, never came, never received,
        does nothing, do nothing, did nothing, nothing happens, nothing happened, nothing appears, no effect,
        not responding, unresponsive, no response, doesn't do anything, works but, cannot get it to, no longer
        """
    ),
    "fault_fails": _phrases(
        """
        fail, fails, failed, failing, fails with, failure, crash, crashes, crashed, crashing, freeze, freezes, frozen,
        froze, hang, hangs, hung, hanging, stuck, spins, spinning, spinner, loops, infinite loop, never ending,
        endless, times out, timed out, timeout, timeouts, loses, lost, losing, disappear, disappears, disappeared,
        vanish*, gone, wiped, duplicated, duplicates, twice, logs me out, logged out, kicks me, kicked out,
        disconnect*, dropped, drops, reboot*, restarts, rejects, ignores, ignored, skips, swallows, overwrites, keeps
        """
    ),
    "fault_error": _phrases(
        """
        error, errors, an error, error message, exception, traceback, stack trace, stacktrace, segfault, panic,
        null pointer, nullpointer*, typeerror, keyerror, undefined, nan, 500, 500s, 502, 503, 504, 404, 404s, 403,
        401, 400, forbidden, unauthorized, internal server error, blank, blank page, white screen, white page,
        blank screen, empty page, empty window, black screen, out of memory, oom, javascript error, console,
        not found, invalid, permission denied, access denied, duplicate key, bad gateway
        """
    ),
    "fault_verb": _each(
        """
        doesn't, does not, don't, do not, didn't, did not, won't, wont, isn't, not, doesnt, never, can't, cannot,
        cant, couldn't, can not, aren't, hasn't, unable to, wouldn't
        """,
        _BROKEN + _BROKEN_FORMS,
    ),
    "fault_cannot": _phrases(
        """
        i can't, i cannot, we can't, cannot, can't, cant, unable to, not able to, users can't, can no longer,
        couldn't, not allowed, not let me, won't let, doesn't let, refuses to
        """
    ),
    "fault_wrong": _phrases(
        """
        wrong, incorrect, incorrectly, wrongly, inaccurate, expected, expect, unexpected, unexpectedly, weird,
        strange, strangely, odd, should be, supposed to, instead of, but it, but the, but nothing, but i, but still,
        even though, although, except, despite, seems to be, seems like, seem to, not sure why, no idea why,
        for some reason, why is, why does, why do, why are, how come, mismatch, off by, inconsistent
        """
    ),
    "fault_when": _phrases(
        """
        since the, since this, since yesterday, since last, since today, after the update, after update,
        after updating, after upgrading, after the last, after upgrade, after i, when i, when you, whenever,
        every time, each time, if i, as soon as, once i, after the deploy, after the release, just now, today,
        this morning, yesterday, all of a sudden, suddenly, randomly, sometimes, occasionally, intermittent*,
        intermittently, used to work, worked yesterday, worked before, was working, worked fine, anymore, any more,
        again, still, always, on safari, on firefox, on chrome, in chrome, in firefox, on android, on ios, on windows,
        on mobile, on my phone, on mac, on linux, on my machine, in production, in prod
        """
    ),
    "fault_repro": _phrases(
        """
        steps to, steps :, repro, reproduce, reproducible, to reproduce, how to reproduce, expected :, actual,
        actual :, happens when, it happens, happening, this happens, screenshot, attached, logs show, consistently
        """
    ),
    "fault_trouble": _phrases(
        """
        issue with, issues with, an issue, the issue, this issue, having issues, having an issue, having trouble,
        trouble with, problem with, problems with, a problem, the problem, having problems, something wrong,
        something is wrong, something's wrong, known issue, known problem, known bug, any known, anyone else,
        anybody else, is it just me, just me, me too, same here, same issue, same problem, is it down, is down,
        are down, went down, outage, acting up, acting weird, doesn't look right, looks off, looks wrong, not right,
        slow, slower, very slow, laggy, lag, sluggish, takes forever, high cpu, eats
        """
    ),
    "ask_how": _phrases(
        """
        how do i, how do you, how do we, how to, how can i, how can we, how can you, how does, how would i,
        how should i, how is, how are, how did, what is, what's, what are, what does, what do, what was, what's the,
        what kind, which, where is, where's, where do, where can, where are, where does, who is, who's, who owns,
        who can, who do, who has, when is, when was, when does, when do, why did, whose
        """
    ),
    "ask_way": _phrases(
        """
        is there a way, is there any way, is there an, is there any, is there a, are there any, is it possible,
        possible to, is it ok, is this possible, is that possible, am i able, can i, may i, could i, do i need,
        do i have, do we have, do you have, does it, does the, is this the, is that, is it, are you, does this,
        should i, do you guys, can we use, do we support, does it support
        """
    ),
    "ask_know": _phrases(
        """
        anyone know, does anyone, does anybody, anybody know, do you know, any idea, any ideas, anyone here,
        someone explain, can someone explain, can anyone, someone tell, tell me, wondering, curious, question,
        i wonder, documentation, docs, tutorial, example of, examples, link to, point me, any advice,
        any recommendation*, recommend, best way, what do you think
        """
    ),
    "ask_help": _phrases(
        """
        help me, need help, need some help, some help, can you help, please help, help with, any help, could you help,
        someone help, guide me, stuck on, i am trying, i'm trying, trying to, i am new, newbie, beginner
        """
    ),
    "way_doing": _phrases(
        """
        i'm working on, working on it, working on, i am working, on it, i'll take, i will take, i'll fix, i'll look,
        i'll add, i'll do, i'll push, i will fix, i'll pick, taking this, looking into, looking at, look into,
        investigating, debugging, in progress, wip, work in progress, being worked, we're working, we are working,
        started on, halfway, almost done, nearly done, assigned to me, my branch, my pr, will fix, will push,
        will add, will look, will do, i'm on it, picking this, about to, i've started, i'm adding, i'm fixing,
        i'm testing, i'm going to, going to add, currently
        """
    ),
    "way_done": _phrases(
        """
        fixed, fixed in, is fixed, was fixed, i fixed, have fixed, has been fixed, fix is, a fix, the fix, hotfix,
        patched, merged, just merged, deployed, shipped, released, rolled out, landed, pushed, is live, now live,
        is out, went out, done, implemented, added, i added, we added, has been added, backported, reverted, resolved,
        closed, in review, up for review, ready for review, pr is, pr for, a pr, the pr, pull request, pr up,
        green now, passes now, next release, latest release, in staging, on staging, rollout, behind a flag,
        feature flag, completed, finished
        """
    ),
    "way_tracked": _phrases(
        """
        issueword, opened an issue, open an issue, opened a ticket, filed a, filed an, filed it, already filed,
        already tracked, tracked in, track it, track this, you can track, can track, there's an issue,
        there is an issue, an issue for, existing issue, ticket, ticket for, on the board, backlog, on our list,
        todo list, already on, planned for, scheduled for, planned, next sprint, next quarter, this sprint,
        subscribed, duplicate of, create an issue, open a ticket, file a bug, issue open, jira, on the todo
        """
    ),
    "settled": _phrases(
        """
        never mind, nevermind, nvm, figured it out, figured out, works now, working now, works fine, works great,
        works for me, working fine, works well, works perfectly, seems to work, worked for me, that worked, it worked,
        my fault, my bad, my mistake, user error, solved, turns out, false alarm, not a bug, no bug, no bugs,
        no issue, no issues, no problem, no problems, all good, all clear, back to normal, is back, back up,
        ignore that, ignore me, ignore my, disregard, forgot to, i was wrong, found it, got it, got it working,
        sorted, wasn't broken, without errors, no errors, no error, went well, went smoothly, it's fine, is fine,
        looks good, already possible, already exists, already have, already there, already supports, there is already,
        there's already, already works, i see now, makes sense now, good to know, expected behavior,
        expected behaviour, by design, intended
        """
    ),
    "thanks": _phrases(
        """
        thanks, thank you, thx, ty, cheers, appreciated, appreciate it, kudos, congrats, congratulations, well done,
        nice work, great work, great job, good job, awesome work, love it, love the, love this, love how, nice one,
        i like, happy to, excited, welcome
        """
    ),
    "joke": _phrases(
        """
        lol, lmao, rofl, haha, hahaha, hehe, heh, jk, just kidding, joking, kidding, joke, sarcasm, xd, :d, ;), :p,
        imagine, coffee machine, coffee, my brain, my cat, my dog, my kids, my life, humans, universe, time machine,
        mondays, world peace, in real life, irl
        """
    ),
    "people": _phrases(
        """
        meeting, meetings, standup, stand-up, stand up, stand-ups, 1:1, one on one, retro, sync, calendar, invite,
        reschedule, rescheduled, postpone, call, zoom, agenda, minutes, lunch, dinner, breakfast, beer, beers, drinks,
        pizza, cake, birthday, vacation, holiday, holidays, pto, sick, weekend, weather, train, traffic, flight,
        hotel, office, desk, room booked, meeting room, conference, party, team event, offsite, salary, payroll,
        expense, interview, candidate, hiring, onboarding session, parking, keys, laptop, headphones, monitor, chair,
        kitchen, fridge, good morning, good night, see you, happy friday, tomorrow, tonight, next week, monday,
        tuesday, wednesday, thursday, friday, o'clock, am, pm, minutes late, running late, slides, presentation, demo,
        webinar, movie, game, gym, walk, marathon, concert
        """
    ),
    "review": _phrases(
        """
        please review, can you review, could you review, review my, take a look, have a look, please approve, approve,
        sign off, lgtm, please check, please test, please join, please read, please merge, please send, please share,
        please let, please note, please don't, please use, please ask, please stop, please update your, please fill
        """
    ),
    "surface": _phrases(
        """
        page, pages, button, buttons, screen, app, apps, client, dashboard, login, sign in, signup, settings, setting,
        form, field, fields, table, column, columns, list, menu, dropdown, sidebar, search, filter, filters, export,
        exports, import, csv, pdf, excel, json, api, endpoint, webhook, webhooks, cli, command, flag, option,
        notification, notifications, email, emails, push, upload, uploads, download, downloads, file, files, image,
        images, avatar, profile, account, accounts, user, users, permission, permissions, role, roles, admin, report,
        reports, invoice, invoices, checkout, cart, payment, payments, order, orders, subscription, chart, charts,
        graph, map, calendar view, editor, comment, comments, thread, threads, reply, replies, message, messages,
        room, rooms, channel, channels, chat, link, links, preview, embed, emoji, theme, themes, font, icon, icons,
        layout, modal, dialog, popup, tooltip, tab, tabs, window, shortcut, shortcuts, keyboard, browser, mobile,
        android, ios, desktop, web, website, site, server, job, jobs, queue, cron, build, builds, pipeline, deploy,
        deploys, deployment, docker, container, log, logs, cache, database, db, query, migration, index, token,
        tokens, key, session, password, sso, oauth, 2fa, integration, plugin, extension, bot, sdk, library, package,
        version, release, installer, config, template, templates, tag, tags, label, labels, history, timeline, feed,
        inbox, docs, readme, importer, parser, widget, banner, header, footer, timezone, date picker, autocomplete,
        pagination, sort, sorting, bulk, undo, autosave, offline
        """
    ),
    "past": _phrases(
        """
        was, were, had, did, last week, last year, last month, yesterday, years ago, back then, ago, remember when,
        the other day, went, used to, once, in the old days
        """
    ),
    "others": _phrases(
        """
        they, he, she, github, google, slack, apple, microsoft, aws, twitter, facebook, they're, his, her, their
        """
    ),
    "hypothetical": _phrases(
        """
        if only, in theory, theoretically, in general, someone, anyone, everybody, people, in my opinion, imo, imho,
        i think, i guess, i believe, probably, perhaps, maybe, might, could
        """
    ),
    "advice": _phrases(
        """
        you can, you could, you need, you need to, you have to, you should, you'll need, you will need, try, try to,
        try the, have you tried, did you try, make sure, check, check the, look at, see, use the, use, just use,
        you may, you might, go to, click on, simply, instead, read the, if you, then you, you want to, are you,
        do you, did you, can you post, can you paste, can you send, can you try, can you show
        """
    ),
    "ack": _phrases(
        """
        ok, okay, yes, yeah, yep, yup, no, nope, sure, right, exactly, agreed, agree, true, i see, oh, ah, hmm, hm,
        well, cool, great, nice, fine, alright, same, understood, will do, of course, indeed, fair enough, good point,
        interesting
        """
    ),
    "self": _phrases(
        """
        i, i'm, i've, my, me, we, our, us, we're, we've
        """
    ),
    "you": _phrases(
        """
        you, your, you're, you've, you guys
        """
    ),
    "now": _phrases(
        """
        currently, right now, at the moment, these days, today, as of, so far, for now, nowadays
        """
    ),
    "greeting": _phrases(
        """
        hi, hello, hey, hi all, hi guys, hello everyone, hey guys, hi there, good morning, hey folks, folks, guys,
        everyone, hi everyone
        """
    ),
}
"""Name of a signal -> its phrases."""

_FRAME: Final = """
    a able about add after again all allow already also although always am an and another any anyone anything are
    aren't as at be because been before being better between both bug but by can can't cannot could couldn't did
    didn't do does doesn't doing don't done down each easier either error even every everybody everything feature
    few for from get gets good got great had hadn't has hasn't have haven't having he here hope how i i'd i'll i'm
    i've idea if in instead into is isn't issue it it'd it's its just keep keeps know least less let let's like look
    looks love made make makes many may maybe me might more most much must my n't need needs neither never nice no
    nobody nor not nothing now of off often on one only onto option or other ought our out over per perhaps please
    possible problem really request same see seem seems shall she should shouldn't show since so some someone
    something sometimes still support than thanks that that's the their them then there there's these they they're
    think this those though through to too tried try two under unless until up us use used using very via want
    wanted wants was wasn't way we we'd we'll we're we've were weren't what what's when where whether which while
    who why will wish with without won't work working works would wouldn't yet you you'd you're you've your
    . ? !
    """
FRAME_WORDS: Final = frozenset(_FRAME.split())
"""The words that make the frame of a sentence; all others are what it is about."""
