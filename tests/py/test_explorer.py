# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The protocol explorer in a browser: its decoder says of every generated payload what the library says, in the same
words, and the page can be read by everybody: by keyboard, in a narrow window, in light and dark."""

import base64
import itertools
import json
import os
import pathlib
import re
import struct
import sys

import pytest

import rules
import vfu_protocol as protocol
from browser import POOR_TEXT, Browser, need
from places import generated
from version_texts import TEXTS
from wire_cases import cases_of, vectors

need()
PAGE = pathlib.Path(generated("doc", "gen", "explorer.html")).resolve().as_uri()
HEADER = struct.Struct("=HHIII")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as one:
        yield one


@pytest.fixture
def page(browser):
    browser.look(1400)
    browser.open(PAGE)
    yield browser
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith(("file:", "about:", "data:", "chrome:"))] == []


# The decoder ---------------------------------------------------------------------------------------

# Whole messages with what is known of them -> for each the fault: field, offset, errno, text, value. They are many:
# they come as a script, which is read faster than what WebDriver passes on.
VERDICTS = """
    const little = arguments[0], model = explorer.model;
    const big = (values) => Object.fromEntries(Object.entries(values).map(([k, v]) => [k, typeof v === "boolean" ? v : BigInt(v)]));
    const bytes = (text) => {
        const chars = atob(text), out = new Uint8Array(chars.length);
        for (let i = 0; i < out.length; i++)
            out[i] = chars.charCodeAt(i);
        return out;
    };
    return bases.map(({ request, limits, cases }) => cases.map(([text, nfds, policies, others]) => {
        const options = { little, policies, limits: { ...model.defaults(), ...big(limits), ...big(others) } };
        const m = new Vfu.Decoder(model, options).message(bytes(text), { nfds: BigInt(nfds), request: big(request) });
        const v = m.fault && m.fault.value;
        return m.fault && [m.fault.field, m.fault.at, m.fault.errno, m.fault.text, typeof v === "bigint" ? String(v) : null, m.fault.in_header];
    }));"""

LIMITS = {limit: getattr(protocol.Limits(), limit) for limit in vars(protocol.Limits())} | vectors.LIMITS


def texts(values):
    """Numbers as text: JSON's are doubles in JavaScript."""
    return {name: value if isinstance(value, bool) else str(value) for name, value in values.items()}


def pack(name, values):
    return getattr(protocol, "Header" if name == "header" else name)(**values).pack()


def whole(base, payload):
    """The payload as a message."""
    if base[0] == "header":
        return bytes(payload)
    number = getattr(protocol.Command, base[0].upper())
    return HEADER.pack(7, number, HEADER.size + len(payload), int(base[2]), 0) + payload


def said(base, payload, nfds, policies, limits):
    """The fault that the Python module finds: field, offset, text, value; None if there is none."""
    message, _, reply, _, _, _, request, _ = base
    policy = protocol.Policies(**policies)
    try:
        if message == "header":
            protocol.check_header(protocol.Header.unpack(bytes(payload)), policy)
        else:
            number = getattr(protocol.Command, message.upper())
            asked = protocol.MESSAGES[number].request(**request[1]) if reply and request else None
            if reply and asked is None:
                asked = protocol.MESSAGES[number].request()
            protocol.parse(number, bytes(payload), reply=reply, nfds=nfds, limits=protocol.Limits(**LIMITS | limits), policy=policy, request=asked)
    except protocol.Fault as fault:
        value = str(fault.value) if isinstance(fault.value, int) and not isinstance(fault.value, bool) else None
        return [fault.field, fault.offset, fault.rule, value]
    return None


def judged(page, directory, bases):
    """What the page says of them."""
    script = directory / "bases.js"
    script.write_text(f"const bases = {json.dumps(bases)};\n")
    page.run("""const script = document.createElement("script");
        script.src = arguments[0];
        document.head.append(script);
        return new Promise((done) => (script.onload = () => done(true)));""", script.as_uri())
    return page.run(VERDICTS, sys.byteorder == "little")


def why(fault):
    """Without the reason why it is no JSON, for which Python's reader has words of its own."""
    return fault and [part.partition(" (")[0] if isinstance(part, str) else part for part in fault]


def differs(base, got, verdict, words):
    """Does the page say something else than the vectors, or in other words than the Python module?"""
    if base[0] == "header":
        got = got if got and got[5] else None
    if base[0] == "version" and verdict is None and words is not None:  # JSON, which the vectors do not look into
        verdict, words, got = [*words[:2], "EINVAL"], why(words), why(got)
    return (got and got[:3]) != verdict or (got and [*got[:2], *got[3:5]]) != words


def chosen(base):
    """All cases of a base if FULL is set, else the first of each row."""
    rows = itertools.groupby(cases_of(pack, base), lambda case: id(case[3]))
    return [case for _, row in rows for case in itertools.islice(row, None if os.environ.get("FULL") else 1)]


def test_verdicts(page, tmp_path):
    cases = [chosen(base) for base in vectors.BASES]
    judgements = judged(page, tmp_path, [
        {"request": texts(base[6][1] if base[6] else {}), "limits": texts(LIMITS),
         "cases": [[base64.b64encode(whole(base, payload)).decode(), nfds, policies, texts(limits)] for _, payload, nfds, policies, limits, _ in of]}
        for base, of in zip(vectors.BASES, cases)])
    wrong, count = [], 0
    for base, of, results in zip(vectors.BASES, cases, judgements):
        for case, got in zip(of, results):
            expected = case[-1] and [*case[-1][:2], case[-1][2] if len(case[-1]) > 2 else "EINVAL"]
            words = said(base, *case[1:5])
            count += 1
            if differs(base, got, expected, words):
                wrong.append((base[0], base[1], case[0], got, expected, words))
    assert wrong == []
    assert count > 6000


def test_texts_of_version(page, tmp_path):
    """As the library says: test_version.py looks at the same."""
    cases = [[whole(("version", "", is_reply), bytes(4) + text), verdict] for _, text, is_reply, verdict in TEXTS]
    [judgements] = judged(page, tmp_path, [
        {"request": texts({"major": 0, "minor": 0}), "limits": texts(LIMITS), "cases": [[base64.b64encode(data).decode(), 0, {}, {}] for data, _ in cases]}])
    got = [fault and (fault[0], fault[3]) for fault in judgements]
    assert list(zip(got, TEXTS)) == list(zip([verdict for _, verdict in cases], TEXTS))
    assert all(fault is None or fault[1] == (0 if fault[0] == "payload" else 4) for fault in judgements)


def test_examples(page):
    """Each button's messages break the rules of the fields it says, and no others."""
    told = page.run("""return [...document.querySelectorAll("script[type='text/plain']")].map((one) =>
        [one.dataset.breaks, Vfu.decode(explorer.model, one.textContent).map((m) => m.fault ? m.fault.field : "").join("")])""")
    assert len(told) > 5
    assert [breaks for breaks, _ in told] == [found for _, found in told]
    page.run("document.querySelectorAll('#examples button').forEach((one) => one.click())")
    assert page.run("return document.querySelectorAll('.decoded .field').length") > 5


def test_forms_of_dumps(page):
    data = HEADER.pack(1, 9, 32, 0, 0) + bytes(16) + HEADER.pack(2, 10, 80, 0, 0) + bytes(64)
    rows = [(at, data[at : at + 16]) for at in range(0, len(data), 16)]
    forms = [
        data.hex(),
        data.hex(" ", 4) + "\n",
        "".join(f"{at:08x}: {row.hex(' ', 2):39}  {'.' * len(row)}\n" for at, row in rows),  # xxd
        "".join(f"{at:08x}  {row[:8].hex(' ')}  {row[8:].hex(' ')}  |{'a' * 16}|\n" for at, row in rows),  # hexdump -C
        "".join(f"{at:08x}  {row.hex(' ')}\n" for at, row in rows[:4]) + "*\n00000070\n",  # with equal lines left out
        "".join(f"{at:04x}   {row.hex(' ')}   ....\n" for at, row in rows),  # Wireshark
        "".join(f"\t0x{at:04x}:  {row.hex(' ', 2)}  ....\n" for at, row in rows),  # tcpdump
    ]
    for text in forms:
        assert page.run("return Vfu.chunks(arguments[0]).map((one) => Vfu.hex(one).replaceAll(' ', ''))", text) == [data.hex()], text
    twice = page.run("return Vfu.chunks(arguments[0]).map((one) => one.length)", forms[2] + "\n# and again\n" + forms[3])
    assert twice == [len(data), len(data)]
    page.run("dump.value = arguments[0]; explorer.page.decode()", "00 01\nhello")
    assert "line 2" in page.run("return said.value") and "not hexadecimal" in page.run("return said.value")


def test_a_dump_ends_with_an_offset_only_behind_offsets(page):
    lengths = "return Vfu.chunks(arguments[0]).map((one) => one.length)"
    rows = "".join(f"{at:08x}: {'11' * 16}\n" for at in (0, 16))
    assert page.run(lengths, rows + "00000020\n") == [32]
    assert page.run(lengths, rows + "*\n00000040\n") == [64]
    assert page.run(lengths, "11" * 32 + "\n00000020\n") == [36]
    assert page.run(lengths, "0000\n0002\n0004\n") == [6]


def test_a_long_line(page):
    size = 1 << 20
    text = (HEADER.pack(1, 10, 32 + size, 0, 0) + struct.pack("=QII", 0, 0, size) + bytes(size)).hex()
    page.run("dump.value = arguments[0]; explorer.page.decode()", text)
    assert page.run("return said.value") == "1 message: none broken"


@pytest.mark.parametrize("space", ["\v", "\f", "\u00a0", "\ufeff"])
def test_space_that_is_none_in_json(page, space):
    script = "try { return Vfu.readJson(arguments[0]).size; } catch (error) { return error.name; }"
    for text in space + "{}", "{" + space + "}", "{}" + space:
        assert page.run(script, text) == "SyntaxError"
    assert page.run(script, " \t\r\n{ }\n\r\t ") == 0


# The page ------------------------------------------------------------------------------------------


def focus(page):
    return page.run("return document.activeElement.id")


def test_keyboard(page):
    page.run("document.querySelector('[id=\"message/dma_map\"] h3 a').focus()")
    while focus(page) != "message/dma_map/request/argsz":
        page.press("Tab")  # past the links in what it says of the message
        assert "request" in focus(page) or page.run("return document.activeElement.closest('p') !== null")
    page.press("ArrowRight")
    assert focus(page) == "message/dma_map/request/flags"
    assert "dma_map" in page.run("return document.getElementById('details-body').textContent")
    page.press("ArrowDown", "ArrowDown")
    assert focus(page) == "message/dma_map/request/address"
    page.press("ArrowUp", "Home", "End")
    assert focus(page) == "message/dma_map/request/size"
    page.press("Enter")
    assert page.run("return location.hash") == "#message/dma_map/request/size" and focus(page) == "details"
    page.press("Escape")
    assert focus(page) == "message/dma_map/request/size"
    page.press("/", *"bitmap")
    assert page.run("return document.getElementById('find').value") == "bitmap"
    assert 0 < page.run("return document.querySelectorAll('.card:not([hidden])').length") < 40


SHOWN = "return !document.getElementById('details').classList.contains('empty')"


def entered(page):
    """Of a box, what the panel says of it."""
    page.run("document.getElementById('message/dma_map/request/size').focus()")
    page.press("Enter")
    assert focus(page) == "details" and page.run(SHOWN)


@pytest.mark.parametrize("how", ["document.getElementById('close').click()", None])
def test_the_panel_closes(page, how):
    entered(page)
    if how:
        page.run(how)
    else:
        page.press("Escape")
    assert focus(page) == "message/dma_map/request/size" and not page.run(SHOWN)


def test_search_keeps_the_focus(page):
    entered(page)
    page.press("/", "Escape")
    assert focus(page) == "find" and not page.run(SHOWN)


def test_rows_by_keyboard(page):
    """The rows of a message are one stop of Tab; Enter leads to what the panel says of one, or to where it is defined."""
    page.run("document.querySelectorAll('#examples button')[1].click(); document.querySelector('.field').focus()")
    page.press("Tab")
    assert page.run("return document.activeElement.closest('article').getAttribute('aria-label')") == "message 2"
    page.run("document.querySelector('[data-from=\"20\"]').focus()")
    page.press("Enter")
    assert focus(page) == "details" and page.run(SHOWN)
    page.press("Escape")
    assert page.run("return document.activeElement.dataset.from") == "20"
    page.press("ArrowDown", "Enter")
    assert page.run("return location.hash") == "#flags/dma_map/readable"
    page.run("document.querySelector('#examples button').click(); document.querySelector('.field').focus()")
    page.press("ArrowDown", "ArrowDown")
    assert page.run("return document.activeElement.querySelector('.name').textContent") == "size"
    assert page.run("return document.querySelectorAll('.cell.lit').length") == 4


def test_revisions(page):
    def cards(revision):
        page.run("revision.value = arguments[0]; explorer.page.filter()", revision)
        return set(page.run("return [...document.querySelectorAll('.message:not([hidden])')].map((one) => one.id)"))

    first, later, every = cards("0.0"), cards("0.9"), cards("")
    assert "message/dma_map" in first and "message/device_feature" not in first and "message/dirty_pages" not in first
    assert first < later < every == {f"message/{m}" for m in page.run("return [...explorer.model.messages.keys()]")}


def test_every_link_leads_somewhere(page):
    dead = page.run("""
        const ids = new Set([...document.querySelectorAll("[id]")].map((one) => one.id)), dead = new Set();
        const check = (links) => links.forEach((a) => {
            const to = a.getAttribute("href");
            if (to.startsWith("#") && !ids.has(to.slice(1)))
                dead.add(to);
        });
        for (const example of document.querySelectorAll("#examples button")) {
            example.click();
            check(document.querySelectorAll("#result a"));
        }
        for (const box of document.querySelectorAll(".box")) {
            box.focus();
            check(document.querySelectorAll("aside a"));
        }
        check(document.querySelectorAll("a[href]"));
        return [...dead];""")
    assert dead == []
    names = page.run("return [...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(names) == len(set(names))


def test_the_reference_has_the_same_rules(page):
    shown = page.run("""
        const cards = [...document.querySelectorAll("#definitions .card")].filter((one) => /^(message|struct)[/]/.test(one.id));
        return cards.map((one) => [one.id, [...one.querySelectorAll("ol.rules > li")].map((li) => li.textContent)]);""")
    assert {tuple(address.split("/")): sorted(map(rules.plain, found)) for address, found in shown} == rules.of_reference()


def test_an_address_can_be_shared(page):
    page.open(PAGE + "#message/set_irqs/request/flags")
    assert focus(page) == "message/set_irqs/request/flags"
    page.open(PAGE + "#decode/" + HEADER.pack(1, 13, 16, 0, 0).hex())
    assert "RESET" in page.run("return document.querySelector('.decoded h3').textContent")


SEEN = """return [[...result.querySelectorAll("h3, .verdict, .note")].map((one) => one.textContent),
    ["profile", "order", "nfds"].map((id) => document.getElementById(id).value)]"""


def test_all_that_was_seen_is_shared(page):
    """Two dumps, in the first of which the last message is cut, and what was chosen; an address without choices has the first."""
    first, second = HEADER.pack(1, 13, 16, 0, 0) + HEADER.pack(2, 9, 32, 0, 0)[:10], HEADER.pack(3, 13, 16, 0, 0)
    dumps = "\n".join(f"{at:08x}: {one[at : at + 16].hex(' ', 2)}" for one in (first, second) for at in range(0, len(one), 16))
    for chosen in (["strict", "big", "17, 0"], ["", "little", ""]):
        page.open(PAGE)
        page.run("""dump.value = arguments[0];
            ["profile", "order", "nfds"].forEach((id, i) => (document.getElementById(id).value = arguments[1][i]));
            document.getElementById("dump").dispatchEvent(new Event("input"));""", dumps, chosen)
        seen = page.run(SEEN)
        assert len(seen[0]) > 5 and seen[1] == chosen
        page.run("share.click()")
        address = page.run("return location.href")
        page.open(PAGE + "#decode/00?order=big&profile=none")
        assert page.run(SEEN)[1] == ["", "big", ""]
        page.run("location.hash = arguments[0]", address.partition("#")[2])
        page.run("return new Promise((done) => setTimeout(() => done(true), 0))")
        assert page.run(SEEN) == seen
        page.open(address)
        assert page.run(SEEN) == seen


def test_descriptors_of_each_message(page):
    """VERSION, whose request has none, and whose reply may have one."""
    page.run("document.querySelector('#examples button').click()")
    for said, words in ("0 1", ["fine", "fine"]), ("0", ["fine", "fine"]), ("", ["fine", "fine"]), ("1,0", ["bad", "fine"]), ("0 2", ["fine", "bad"]):
        page.run("nfds.value = arguments[0]; nfds.dispatchEvent(new Event('input'))", said)
        assert page.run("return [...result.querySelectorAll('.verdict')].map((one) => one.classList[1])") == words, said
    page.run("nfds.value = '1 x'; nfds.dispatchEvent(new Event('input'))")
    assert page.run("return said.value") == "descriptors: “x” is no number" and page.run("return said.className") == "bad"
    page.run("order.value = 'big'; document.querySelector('#examples button').click()")
    assert page.run("return said.value") == "2 messages: none broken"  # examples are as they are meant


def test_an_address_is_of_what_is_seen(page):
    page.open(PAGE + "#decode/" + HEADER.pack(1, 13, 16, 0, 0).hex())
    page.run("order.value = 'big'; order.dispatchEvent(new Event('input'))")
    assert page.run("return location.hash") == "#decode"


def test_each_entry_leads_to_the_reference(page):
    """And the reference to pictures; tests/lint/links follows both."""
    links = page.run("return [...document.querySelectorAll('.card')].map((card) => [card.id, card.querySelector('h3 .site').getAttribute('href')])")
    texts = {f"gen/{name}.html": pathlib.Path(generated("doc", "gen", f"{name}.rst")).read_text() for name in ("protocol", "errata")}
    pairs = [to.split("#") for _, to in links]
    assert len(links) > 100 and [(page, to) for page, to in pairs if f".. _{to}:" not in texts[page]] == []
    back = re.findall("<explorer.html#(.*?)>`__", texts["gen/protocol.html"])
    assert set(back) == {card for card, _ in links if card.startswith(("message/", "struct/")) or card == "header"}


def test_what_can_not_be_shared_is_said(page):
    for text, words in ("hello", "not hexadecimal"), (" ", "nothing to make a link of"), ("00" * 65537, "at most 65536 bytes; these are 65537"):
        page.run("dump.value = arguments[0]; document.getElementById('share').click()", text)
        assert words in page.run("return said.value") and page.run("return [location.hash, said.className]") == ["", "bad"]
    page.run("dump.value = '00 01'; document.getElementById('share').click()")
    assert page.run("return [location.hash, said.className]") == ["#decode/0001", ""]


@pytest.mark.parametrize("address", ["decode/" + HEADER.pack(1, 13, 16, 0, 0).hex(), "message/dma_map", "erratum/17"])
def test_nothing_hides_behind_the_head(page, address):
    for width in 400, 900, 1250, 1400:
        page.look(width)
        page.open(f"{PAGE}#{address}")
        top, head, panel = page.run("""
            const [head, panel] = [".top", "aside"].map((name) => document.querySelector(name).getBoundingClientRect());
            const node = document.getElementById(arguments[0].startsWith("decode/") ? "decode" : arguments[0]);
            return [node.getBoundingClientRect().top, head.bottom, panel.height ? panel.top : head.bottom];""", address)
        assert top >= head >= 0 or head <= 0 <= top, width
        assert panel >= head, width


def test_what_can_not_be_judged(page):
    """In the other byte order, of a command that nobody knows, cut: no verdict, and a hint."""
    little, big = struct.pack("<HHIII", 1, 13, 16, 0, 0), struct.pack(">HHIII", 1, 13, 16, 0, 0)
    for data, hints in (big, 2), (little[:12], 1), (struct.pack("<HHIII", 1, 99, 16, 0, 0), 1), (little, 0):
        page.run("dump.value = arguments[0]; explorer.page.decode()", data.hex())
        kind, notes = page.run("return [result.querySelector('.verdict').className, result.querySelectorAll('p.note').length]")
        assert (kind, notes) == ("verdict open" if hints else "verdict fine", hints), data
        assert page.run("return said.value") == "1 message: none broken" + (", 1 not looked at" if hints else "")
    page.run("dump.value = arguments[0]; explorer.page.decode()", big.hex())
    assert "would have 16 bytes in the other byte order" in page.run("return result.textContent")


def test_an_address_that_is_none(page):
    page.open(PAGE + "#%")
    assert page.complaints() == []
    page.run("location.hash = 'message/set_irqs/request/flags'")
    page.run("return new Promise((done) => setTimeout(() => done(true), 0))")
    assert focus(page) == "message/set_irqs/request/flags"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_seen_by_everybody(page, scheme):
    page.run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    page.run("document.getElementById('flags/irq_set/data_bool').classList.add('target')")
    for width, example in (360, 4), (900, 2), (1400, 0):
        page.look(width, scheme=scheme)
        page.run("document.querySelectorAll('#examples button')[arguments[0]].click()", example)
        page.run("document.querySelector('.field').focus()")
        count, poor = page.run(POOR_TEXT)
        assert count > 1000 and poor == []
        assert page.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"), width


def test_the_page_about_it(page):
    """doc/reference/json.md: its example prints what it says."""
    text = (pathlib.Path(os.environ["abs_srcdir"]) / "doc" / "reference" / "json.md").read_text()
    code, printed = (re.search(rf"^```{kind}\n(.*?)^```", text, re.M | re.S)[1] for kind in ("js", "text"))
    assert page.run("""
        const lines = [], files = { fs: { readFileSync: () => document.getElementById("model").textContent }, "./explorer.js": Vfu };
        new Function("require", "console", arguments[0])((name) => files[name], { log: (...words) => lines.push(words.join(" ")) });
        return lines.join("\\n") + "\\n";""", code) == printed


def test_a_message_that_is_cut(page):
    """What is there of it is shown, and no rule is said to be broken."""
    names, fault, notes = page.run("""const [m] = Vfu.decode(explorer.model, arguments[0]);
        return [m.items.map((item) => item.name), m.fault, m.notes];""", HEADER.pack(1, 2, 48, 0, 0).hex() + "20000000030000000000")
    assert names[-3:] == ["argsz", "flags", "rest"] and fault is None
    assert "has 48 bytes, but there are 26" in notes[0]
