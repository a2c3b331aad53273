# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page tells at first glance what needs attention, finds what is asked for, and stays small however large the map is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.bad_maps import BAD, Bad
from tests.lun_spellings import LUN, SPELLINGS_OF_A_LUN
from tests.page.conftest import ROWS, SCREEN, OpenFile, OpenMap
from tests.rendering import Render
from tests.report_map import GIB, document, endpoint, estate, map_in, naa_of, row, write_page

PHONE = (390, 844)
MOST_LINES = 100
MOST_NODES = 6 * 24
OTHER = naa_of("JWBC-5ZOR7r-")
TEXTS = "all => all.map(one => one.textContent)"
UNTIL_DRAWN = "() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
"""Rows are drawn in the frame after the one in which a key has scrolled; nobody presses a key more often."""

RLO = "\u202e"
NASTY_NAMES = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    '<img src=x onerror="alert(1)">',
    "\"quoted\" 'twice' `thrice`",
    "two\nlines\r\nand\ttabs",
    f"evil{RLO}txt.exe",
    "\u05e9\u05e8\u05ea-01",
    "{{ 7 * 7 }}{% raw %}",
    "line\u2028paragraph\u2029",
    "__proto__",
    "n" * 500,
]


def other(**values: Any) -> dict[str, Any]:
    """A row of another VM, on another LUN."""
    lun = {"naa": OTHER, "serial": "JWBC-5ZOR7r-", "device": f"naa.{OTHER}", "lun_path": "/vol/vol_prod/app02_data"}
    return row(**{"vm_name": "app02", "vm_id": "vm-2", **lun, **values})


def unused(**values: Any) -> dict[str, Any]:
    """A LUN on which no VM has a disk."""
    told = ("endpoint", "observed", "serial", "array_type", "array", "array_address", "svm", "volume", "storage_state", "status", "reason")
    seen = {"hosts": ["esx01.example.com"], "virtual_machines": [], "file_systems": [], "states": ["ok"], "size_bytes": 10 * GIB}
    lun = {"kind": "lun", "naa": OTHER, "device": f"naa.{OTHER}", "lun_path": "/vol/vol_prod/forgotten", "paths": [], "strangers": []}
    return {**{name: row()[name] for name in told}, **seen, **lun, **values}


def rows_of(page: Page) -> Locator:
    return page.locator("tbody tr:not(.space, .group)")


def head_of(page: Page, column: str) -> Locator:
    return page.get_by_role("columnheader", name=column, exact=True)


def cells(page: Page, column: str) -> list[str]:
    return page.locator(f"tbody [data-column={column}]").all_inner_texts()


def scroll_to_the_end(page: Page) -> None:
    page.locator("#table").evaluate("table => { table.scrollIntoView({block: 'end'}); table.scrollTop = table.scrollHeight }")


def figures(page: Page) -> list[str]:
    return page.locator("#figures > li").all_inner_texts()


def find(page: Page, words: str) -> None:
    page.get_by_role("searchbox").fill(words)


def hits(page: Page) -> Locator:
    return page.get_by_role("status")


def node(page: Page, name: str) -> Locator:
    return page.locator("#picture").get_by_role("button", name=name)


@pytest.fixture(scope="module")
def both(browser: Browser, render: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of two VMs, each with a LUN of its own, for tests that ask it one question."""
    page = browser.new_page()
    page.goto(write_page(render, document([row(), other()]), tmp_path_factory.mktemp("both") / "report.html").as_uri())
    yield page
    page.close()


class TestAtFirstGlance:
    def test_vms_disks_luns_and_arrays_are_counted(self, open_map: OpenMap) -> None:
        page = open_map(document([row(), row(disk="Hard disk 2"), other()]))
        assert figures(page) == ["2 VMs", "3 disks", "2 LUNs", "1 array", "30 GiB"]

    def test_a_disk_on_two_luns_is_one_disk_and_counts_once(self, open_map: OpenMap) -> None:
        halves = [row(kind="image", share_bytes=5 * GIB), row(kind="image", share_bytes=5 * GIB, naa=OTHER)]
        page = open_map(document(halves))
        assert figures(page)[1:] == ["1 disk", "2 LUNs", "1 array", "10 GiB"]

    def test_an_unknown_size_is_no_zero(self, open_map: OpenMap) -> None:
        page = open_map(document([row(size_bytes=0, share_bytes=0), other()]))
        assert figures(page)[-1] == "10 GiB + 1 disk of unknown size"
        assert cells(page, "size") == ["unknown", "10 GiB"]

    def test_each_endpoint_has_its_name_and_the_time_of_its_observation(self, open_map: OpenMap) -> None:
        names = ["vc01", "hv01", "kvm01"]
        types = ["vmware", "hyperv", "kvm"]
        endpoints = [endpoint(name=name, type=type_, address="127.0.0.1") for name, type_ in zip(names, types, strict=True)]
        page = open_map(document([row(hypervisor="127.0.0.1")], endpoints))
        listed = page.locator("#endpointlist > li")
        assert listed.get_by_role("button").all_inner_texts() == names
        expect(listed.first).to_contain_text("read 2026-11-28 18:40:00 UTC")

    def test_a_missing_endpoint_is_told_first_with_its_reason(self, open_map: OpenMap) -> None:
        endpoints = [endpoint(), endpoint(name="vc02", address="192.0.2.11", status="missing", observed="", reason="It gave no map")]
        page = open_map(document([row()], endpoints))
        expect(page.locator("#endpointsum")).to_have_text("2 endpoints, of which 1 stale or missing")
        expect(page.locator("#endpointlist > li").first).to_contain_text("vc02 missing")
        expect(page.locator("#endpointlist > li").first).to_contain_text("never read")
        expect(page.locator("#endpointlist > li").first).to_contain_text("It gave no map")

    def test_endpoints_at_one_address_are_told_apart_by_their_names(self, open_map: OpenMap) -> None:
        endpoints = [endpoint(name="hv01"), endpoint(name="hv02", status="stale")]
        page = open_map(document([row(endpoint="hv01"), row(endpoint="hv02")], endpoints))
        assert figures(page)[:2] == ["2 VMs", "2 disks"]
        page.locator("[data-attention=stale]").click()
        expect(page.locator("tbody tr.group")).to_have_text(["app01hv02prodesx01.example.com1 disk10 GiB"])

    def test_an_endpoint_shows_only_its_rows(self, open_map: OpenMap) -> None:
        page = open_map(document([row(), other(hypervisor="192.0.2.11", endpoint="vc02")]))
        page.get_by_role("button", name="vc02", exact=True).click()
        assert cells(page, "vm") == ["app02"]
        page.get_by_role("button", name="vc02", exact=True).click()
        assert cells(page, "vm") == ["app01", "app02"]

    @pytest.mark.parametrize(
        ("kind", "wrong"),
        [
            ("unresolved", {"status": "unresolved", "reason": "No array has it"}),
            ("offline", {"storage_state": "offline"}),
            ("single", {"paths_live": 1}),
            ("single", {"paths_live": 0}),
            ("dead", {"paths_dead": 2}),
            ("stale", {"hypervisor": "192.0.2.11"}),
        ],
    )
    def test_what_needs_attention_is_counted_and_shown_by_a_click(self, open_map: OpenMap, kind: str, wrong: dict[str, Any]) -> None:
        endpoints = [endpoint(), endpoint(name="vc02", address="192.0.2.11", status="stale")]
        page = open_map(document([row(), other(**wrong)], endpoints))
        button = page.locator(f"[data-attention={kind}]")
        assert button.inner_text().startswith("1 ")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        assert cells(page, "vm") == ["app02"]
        button.click()
        assert cells(page, "vm") == ["app01", "app02"]

    @pytest.mark.parametrize(
        "fine",
        [
            {"status": "local", "reason": "a local disk of its host"},
            {"storage_state": "unknown"},
            {"storage_state": ""},
            {"paths_live": None, "paths_dead": None},
            {"paths_live": 2},
        ],
    )
    def test_what_is_nothing_to_mend_is_not(self, open_map: OpenMap, fine: dict[str, Any]) -> None:
        page = open_map(document([row(**fine)]))
        assert page.locator("[data-attention]:not(:disabled)").count() == 0
        assert page.locator("tbody tr.needy").count() == 0

    def test_a_raw_lun_of_two_vms_is_shared(self, open_map: OpenMap) -> None:
        page = open_map(document([row(), row(vm_name="app02", vm_id="vm-2"), other(vm_name="app03", vm_id="vm-3")]))
        page.locator("[data-attention=shared]").click()
        assert cells(page, "vm") == ["app01", "app02"]

    def test_a_lun_of_many_files_is_not(self, open_map: OpenMap) -> None:
        page = open_map(document([row(kind="image"), row(kind="image", vm_name="app02", vm_id="vm-2")]))
        expect(page.locator("[data-attention=shared]")).to_have_text("0 shared LUN")

    def test_a_lun_that_strangers_see_is_told_with_their_names(self, open_map: OpenMap) -> None:
        seen = unused(naa=LUN, virtual_machines=["app01"], strangers=["iqn.1998-01.com.vmware:stranger"])
        page = open_map(document([row(), other()], resources=[seen]))
        page.locator("[data-attention=strangers]").click()
        assert cells(page, "vm") == ["app01"]
        rows_of(page).first.get_by_role("button").click()
        expect(page.get_by_role("dialog")).to_contain_text("iqn.1998-01.com.vmware:stranger")

    def test_hosts_of_another_endpoint_are_no_strangers(self, open_map: OpenMap) -> None:
        seen = [
            unused(naa=LUN, endpoint=name, strangers=strangers)
            for name, strangers in (("vc01", ["iqn.b", "iqn.c"]), ("vc02", ["iqn.a", "iqn.c"]))
        ]
        page = open_map(document([row()], resources=seen))
        page.get_by_text("Columns").click()
        page.get_by_role("checkbox", name="Seen by strangers").check()
        assert cells(page, "strangers") == ["iqn.c"]

    def test_a_lun_that_a_vm_of_another_endpoint_has_is_not_under_no_vm(self, open_map: OpenMap) -> None:
        page = open_map(document([row()], resources=[unused(naa=LUN, endpoint="vc02")]))
        expect(page.locator("[data-attention=unused]")).to_have_text("0 LUN under no VM")

    def test_a_lun_that_two_endpoints_see_is_one_lun_under_no_vm(self, open_map: OpenMap) -> None:
        page = open_map(document([row()], resources=[unused(), unused(endpoint="vc02")]))
        expect(page.locator("[data-attention=unused]")).to_have_text("1 LUN under no VM")

    def test_a_lun_under_no_vm_is_found_and_is_no_disk(self, open_map: OpenMap) -> None:
        page = open_map(document([row()], resources=[unused()]))
        assert figures(page)[1:3] == ["1 disk", "2 LUNs"]
        assert page.locator("#endpointlist > li").count() == 1
        page.locator("[data-attention=unused]").click()
        assert cells(page, "vm") == ["(no VM)"]
        find(page, f"naa.{OTHER}")
        assert cells(page, "lun") == ["/vol/vol_prod/forgotten"]


class TestSearch:
    @pytest.mark.parametrize("spelling", [spelling for spelling in SPELLINGS_OF_A_LUN if "\n" not in spelling])
    def test_a_lun_is_found_by_every_spelling(self, both: Page, spelling: str) -> None:
        find(both, spelling)
        assert cells(both, "vm") == ["app01"]
        expect(hits(both)).to_contain_text("1 of 2 rows \u00b7 1 VM \u00b7 1 LUN \u00b7 10 GiB")
        expect(hits(both)).to_contain_text(f"read as the LUN naa.{LUN}, serial RLIta+DhqCVk")

    @pytest.mark.parametrize("serial", ["RLIta+DhqCVk", "rlita+dhqcvk", "524c4974612b44687143566b", "524C4974612B44687143566B"])
    def test_a_lun_is_found_by_its_serial_number(self, both: Page, serial: str) -> None:
        find(both, serial)
        assert cells(both, "vm") == ["app01"]

    @pytest.mark.parametrize(
        "part", ["naa.600a0980524c", "3600a0980524C", "0x600a0980524c", "wwn-0x600a098052", "/vol_prod/app01", "svm_san:/vol"]
    )
    def test_a_name_is_found_while_it_is_typed(self, both: Page, part: str) -> None:
        find(both, part)
        assert "app01" in cells(both, "vm")

    def test_a_row_has_every_word(self, both: Page) -> None:
        find(both, "  APP02   hard vol_prod ")
        assert cells(both, "vm") == ["app02"]

    def test_nothing_found_is_said_with_what_was_understood(self, both: Page) -> None:
        unknown = naa_of("AAAAAAAAAAAA")
        find(both, f"3{unknown.upper()}")
        expect(hits(both)).to_contain_text("Nothing found for")
        expect(hits(both)).to_contain_text(f"read as the LUN naa.{unknown}, serial AAAAAAAAAAAA")
        expect(both.locator("#table")).to_be_hidden()
        expect(both.locator("#drawing")).to_be_hidden()

    def test_a_serial_number_that_nobody_has_is_told_with_its_name(self, both: Page) -> None:
        find(both, "AAAAAAAAAAAA")
        expect(hits(both)).to_contain_text(f"as the serial number of a LUN on ONTAP, that is naa.{naa_of('AAAAAAAAAAAA')}")

    def test_words_that_exclude_each_other_are_told_apart(self, both: Page) -> None:
        find(both, "app01 app02")
        expect(hits(both)).to_contain_text("Each word alone: app01: 1 row, app02: 1 row")

    def test_what_a_filter_keeps_back_is_told(self, open_map: OpenMap) -> None:
        page = open_map(document([row(), other(storage_state="offline")]))
        page.locator("[data-attention=offline]").click()
        find(page, "app01")
        expect(hits(page)).to_contain_text("Without the filters: 1 row.")

    def test_what_is_asked_for_can_be_sent_to_somebody(self, open_map: OpenMap, open_file: OpenFile, tmp_path: Path) -> None:
        page = open_map(document([row(), other(storage_state="offline")]))
        find(page, "hard disk")
        page.locator("[data-attention=offline]").click()
        page.get_by_role("radio", name="LUN").check()
        expect(page).to_have_url(re.compile("#q=hard\\+disk&show=offline&by=lun$"))
        sent = page.url.partition("#")[2]
        again = open_file(tmp_path / "report.html", asked=sent)
        expect(again.get_by_role("searchbox")).to_have_value("hard disk")
        expect(again.get_by_role("radio", name="LUN")).to_be_checked()
        assert cells(again, "vm") == ["app02"]

    def test_a_slash_begins_a_search(self, both: Page) -> None:
        both.locator("body").press("/")
        expect(both.get_by_role("searchbox")).to_be_focused()


class TestTable:
    def test_of_10_000_rows_only_those_in_sight_are_in_the_document(self, open_file: OpenFile, estate_file: Path) -> None:
        page = open_file(estate_file)
        expect(hits(page)).to_contain_text("10,000 of 10,000 rows")
        assert 10 < page.locator("tbody tr").count() < MOST_LINES
        table = page.get_by_role("table")
        lines = ROWS + ROWS // 2
        expect(table).to_have_attribute("aria-rowcount", str(lines + 1))
        scroll_to_the_end(page)
        expect(rows_of(page).last).to_have_attribute("aria-rowindex", str(lines + 1))
        expect(rows_of(page).last).to_contain_text("app04999")
        expect(rows_of(page).last).to_be_in_viewport(ratio=0.9)
        assert page.locator("tbody tr").count() < MOST_LINES

    @pytest.mark.parametrize("size", [SCREEN, PHONE])
    @pytest.mark.parametrize("name", ["app01", "n" * 500, "two\nlines"])
    def test_every_line_is_as_high_as_it_is_counted(self, open_map: OpenMap, size: tuple[int, int], name: str) -> None:
        page = open_map(document([row(vm_name=name, disk=name, lun_path=name, svm=name, reason=name), other(vm_name="")]), size)
        heights = "(lines, name) => lines.map(line => line.offsetHeight - parseFloat(getComputedStyle(line).getPropertyValue(name)))"
        assert rows_of(page).evaluate_all(heights, "--row-line") == [0, 0]
        assert page.locator("tbody tr.group").evaluate_all(heights, "--group-line") == [0, 0]

    def test_the_head_stays_in_sight(self, open_file: OpenFile, estate_file: Path) -> None:
        page = open_file(estate_file)
        page.locator("#table").evaluate("table => table.scrollTop = 50000")
        expect(rows_of(page).first).not_to_contain_text("app00000")
        top = page.locator("#table").bounding_box()
        head = head_of(page, "VM").bounding_box()
        assert top is not None
        assert head is not None
        assert abs(head["y"] - top["y"]) <= 2

    def test_a_row_that_has_the_focus_keeps_it_while_others_are_drawn(self, open_file: OpenFile, estate_file: Path) -> None:
        page = open_file(estate_file)
        rows_of(page).nth(12).get_by_role("button").focus()
        for _press in range(40):
            page.keyboard.press("Tab")
            page.evaluate(UNTIL_DRAWN)
        assert page.evaluate("document.activeElement.closest('tr') !== null")
        index = page.evaluate("Number(document.activeElement.closest('tr').getAttribute('aria-rowindex'))")
        assert index > 60

    def test_groups_by_vm_have_their_sum(self, open_map: OpenMap) -> None:
        page = open_map(document([row(), other(), row(disk="Hard disk 2", size_bytes=2048 * GIB, share_bytes=2048 * GIB)]))
        groups = page.locator("tbody tr.group")
        assert groups.all_inner_texts() == [
            "app01vc01prodesx01.example.com2 disks2 TiB",
            "app02vc01prodesx01.example.com1 disk10 GiB",
        ]

    def test_a_lun_tells_its_vms(self, open_map: OpenMap) -> None:
        page = open_map(document([row(kind="image"), other(lun_path="/vol/z/z"), row(kind="image", vm_name="app03", vm_id="vm-3")]))
        page.get_by_role("radio", name="LUN").check()
        groups = page.locator("tbody tr.group")
        expect(groups).to_have_count(2)
        expect(groups.first).to_contain_text("/vol/vol_prod/app01_data2 VMs20 GiB")
        assert cells(page, "vm") == ["app01", "app03", "app02"]

    def test_columns_sort_numbers_as_numbers_up_and_down(self, open_map: OpenMap) -> None:
        sizes = [900, 10, 2000]
        page = open_map(document([row(vm_id=str(size), size_bytes=size * GIB, share_bytes=size * GIB) for size in sizes], [endpoint()]))
        page.get_by_role("radio", name="nothing").check()
        head_of(page, "Size").get_by_role("button").click()
        expect(head_of(page, "Size")).to_have_attribute("aria-sort", "ascending")
        assert cells(page, "size") == ["10 GiB", "900 GiB", "2 TiB"]
        head_of(page, "Size").get_by_role("button").click()
        expect(head_of(page, "Size")).to_have_attribute("aria-sort", "descending")
        assert cells(page, "size") == ["2 TiB", "900 GiB", "10 GiB"]

    def test_names_sort_as_people_count(self, open_map: OpenMap) -> None:
        page = open_map(document([row(vm_name=name, vm_id=name) for name in ("app10", "app9", "App1")]))
        assert cells(page, "vm") == ["App1", "app9", "app10"]

    def test_further_columns_come_on_demand(self, open_map: OpenMap) -> None:
        page = open_map(document([row()]))
        assert cells(page, "naa") == []
        page.get_by_text("Columns").click()
        page.get_by_role("checkbox", name="NAA").check()
        assert cells(page, "naa") == [LUN]
        page.get_by_role("checkbox", name="NAA").uncheck()
        assert cells(page, "naa") == []

    def test_a_row_tells_all_that_is_known_of_it(self, open_map: OpenMap) -> None:
        page = open_map(document([row(mounts=["/srv/data", "/srv/log"], reason="Because of it", way_out="Do that")]))
        rows_of(page).first.get_by_role("button").press("Enter")
        dialog = page.get_by_role("dialog")
        for told in ("app01: Hard disk 1", "RLIta+DhqCVk", "/srv/data, /srv/log", "Because of it", "Do that", "SCSI 0 : 1", "4 GiB"):
            expect(dialog).to_contain_text(told)
        expect(dialog.get_by_role("button", name="Close")).to_be_focused()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()

    def test_a_lun_under_no_vm_tells_its_size_and_the_fewest_paths_of_a_host(self, open_map: OpenMap) -> None:
        paths = [{"host": "esx01", "live": 4, "dead": 0}, {"host": "esx02", "live": 1, "dead": 3}]
        page = open_map(document([], [endpoint()], [unused(paths=paths)]))
        assert cells(page, "paths") == ["1 live, 3 dead"]
        rows_of(page).first.get_by_role("button").click()
        expect(page.get_by_role("dialog")).to_contain_text("Size of the LUN10 GiB")

    def test_a_map_of_nothing_is_a_page_too(self, open_map: OpenMap) -> None:
        page = open_map(document([]))
        expect(hits(page)).to_have_text("Nothing found.")
        assert figures(page) == ["0 VMs", "0 disks", "0 LUNs", "0 arrays"]


class TestPicture:
    def test_a_path_is_drawn_from_vm_to_array(self, open_map: OpenMap) -> None:
        page = open_map(document([row()]))
        expect(page.locator("#picture text")).to_have_text(
            ["app01", "Hard disk 1", "naa.600a09805\u2026143566b", "app01_data", "vol_prod", "ontap01"]
        )
        assert page.locator("#picture .edge").count() == 5

    def test_hover_follows_the_paths_through_a_node(self, open_map: OpenMap) -> None:
        page = open_map(document([row(), other()]))
        node(page, "LUN app02_data").hover()
        lit = page.locator("#picture .node.lit text").all_text_contents()
        assert "app02" in lit
        assert "ontap01" in lit
        assert "app01" not in lit
        assert page.locator("#picture .edge.lit").count() == 5

    def test_a_click_pins_a_path_and_leaves_its_rows(self, open_map: OpenMap) -> None:
        page = open_map(document([row(), other()]))
        node(page, "VM app02").click()
        expect(node(page, "VM app02")).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#pin")).to_have_text("Only what passes VM app02 \u00d7")
        assert cells(page, "vm") == ["app02"]
        expect(node(page, "VM app01")).to_be_visible()
        page.mouse.move(0, 0)
        assert "app02" in page.locator("#picture .node.lit text").all_text_contents()
        page.locator("#pin").click()
        assert cells(page, "vm") == ["app01", "app02"]

    def test_keys_walk_along_a_path_and_pin(self, open_map: OpenMap) -> None:
        page = open_map(document([row(), other()]))
        node(page, "VM app01").focus()
        for key in ("ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight"):
            page.keyboard.press(key)
        expect(node(page, "LUN app02_data")).to_be_focused()
        page.keyboard.press("Enter")
        assert cells(page, "vm") == ["app02"]
        expect(node(page, "LUN app02_data")).to_be_focused()
        page.keyboard.press("Escape")
        assert cells(page, "vm") == ["app01", "app02"]

    def test_all_six_layers_fit_into_a_small_screen(self, open_map: OpenMap) -> None:
        page = open_map(estate(20))
        page.set_viewport_size({"width": 1280, "height": 860})
        assert page.locator("#picture").evaluate("box => box.scrollWidth <= box.clientWidth")

    def test_the_picture_is_one_stop_of_the_tab_key(self, open_map: OpenMap) -> None:
        page = open_map(document([row(), other()]))
        expect(node(page, "VM app01")).to_be_visible()
        assert page.locator("#picture [tabindex='0']").count() == 1

    def test_of_a_large_map_a_bounded_part_is_drawn(self, open_file: OpenFile, estate_file: Path) -> None:
        page = open_file(estate_file)
        expect(page.locator("#left")).to_contain_text("9,976 rows of 10,000 are not drawn")
        assert 0 < page.locator("#picture .node").count() <= MOST_NODES

    def test_what_is_pinned_is_drawn_wherever_it_stands(self, open_file: OpenFile, estate_file: Path) -> None:
        page = open_file(estate_file)
        find(page, "ds_0199")
        page.get_by_role("radio", name="LUN").check()
        rows_of(page).nth(3).get_by_role("button").click()
        vm = page.locator("#facts dd").first.inner_text()
        page.get_by_role("button", name="Pin in the picture").click()
        find(page, "")
        expect(page.locator("#picture .node[aria-pressed=true]")).to_have_count(1)
        assert cells(page, "vm") == [vm]
        assert vm in page.locator("#picture text").all_text_contents()

    def test_a_disk_that_nobody_can_place_ends_with_a_sign(self, open_map: OpenMap) -> None:
        lost = {**dict.fromkeys(("naa", "serial", "array", "array_address", "svm", "volume", "lun_path"), ""), "status": "unresolved"}
        page = open_map(document([row(**lost, device="naa.unknown")]))
        expect(page.locator("#picture .node.wrong text")).to_have_text("\u26a0 naa.unknown")


class TestBadInput:
    @pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
    def test_an_estate_in_which_something_is_wrong_is_shown_with_all_its_rows(self, open_map: OpenMap, bad: Bad) -> None:
        page = open_map(bad.document)
        page.get_by_role("radio", name="nothing").check()
        texts = [page.locator(f"tbody [data-column={column}]").evaluate_all(TEXTS) for column in ("vm", "status")]
        assert sorted(pair for pair in zip(*texts, strict=True) if pair[0] != "(no VM)") == sorted(bad.rows)
        for told in bad.document["endpoints"]:
            expect(page.locator("#endpointlist")).to_contain_text(told["name"])
            expect(page.locator("#endpointlist")).to_contain_text(told["reason"])

    @pytest.mark.parametrize("name", NASTY_NAMES)
    def test_a_name_is_text_wherever_it_stands(self, open_map: OpenMap, name: str) -> None:
        fields = ("vm_name", "disk", "cluster", "host", "lun_path", "volume", "svm", "array", "device", "reason", "endpoint")
        page = open_map(
            document([row(**dict.fromkeys(fields, name), status="unresolved", vm_id="x"), other()], [endpoint(name=name, reason=name)])
        )
        page.get_by_role("radio", name="nothing").check()
        assert name in page.locator("tbody [data-column=vm] button").evaluate_all("all => all.map(one => one.textContent)")
        expect(page.locator("#picture .node")).not_to_have_count(0)
        page.locator("tbody [data-column=vm] button").nth(0).click()
        page.keyboard.press("Escape")
        assert page.locator("script").count() == 2
        assert page.locator("img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    def test_what_an_older_map_does_not_tell_is_unknown(self, open_map: OpenMap) -> None:
        new = {"endpoint", "observed", "share_bytes", "controller", "unit", "thin", "paths_live", "paths_dead", "mounts", "way_out"}
        new |= {"lun_size_bytes", "lun_used_bytes"}
        rows = (row(), row(naa=naa_of("AAAAAAAAAAAA")), other(size_bytes=0))
        old = [{name: value for name, value in found.items() if name not in new} for found in rows]
        page = open_map(document(old, []))
        assert figures(page)[-1] == "10 GiB + 1 disk of unknown size"
        expect(page.locator("#endpointlist")).to_contain_text("192.0.2.10")
        assert page.locator("[data-attention]:not(:disabled)").count() == 0
        rows_of(page).first.get_by_role("button").click()
        expect(page.get_by_role("dialog")).not_to_contain_text("undefined")

    def test_nothing_can_be_fetched_and_no_text_becomes_a_document(self, both: Page) -> None:
        policy = both.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
        assert policy is not None
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        refused = "() => { try { document.body.innerHTML = '<b>'; return false } catch (error) { return error instanceof TypeError } }"
        assert both.evaluate(refused)

    def test_a_vm_without_a_name_can_be_opened(self, open_map: OpenMap) -> None:
        page = open_map(document([row(vm_name="\u2028 ")]))
        assert cells(page, "vm") == ["(no name)"]

    def test_the_map_in_the_page_is_the_map(self, open_map: OpenMap) -> None:
        rows = [row(vm_name=name, vm_id=str(number)) for number, name in enumerate(NASTY_NAMES)]
        page = open_map(document(rows))
        assert map_in(page.locator("#map").text_content() or "")["mappings"] == rows

    def test_rows_of_an_older_map_leave_unknown_what_they_do_not_tell(self, open_map: OpenMap) -> None:
        older = {key: value for key, value in row(vm_name="older", vm_id="1").items() if key not in ("paths_live", "paths_dead", "mounts")}
        page = open_map(document([older, row(vm_name="newer", vm_id="2", paths_live=1)]))
        assert cells(page, "paths") == ["1 live", ""]
        assert cells(page, "vm") == ["newer", "older"]


class TestEverywhere:
    def test_a_phone_shows_cards_without_scrolling_sideways(self, open_map: OpenMap) -> None:
        page = open_map(estate(100), PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        for column in ("vm", "disk", "size", "lun", "place", "state", "status"):
            box = page.locator(f"tbody [data-column={column}]").first.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= PHONE[0]
        size, disk = (page.locator(f"tbody [data-column={column}]").first.bounding_box() for column in ("size", "disk"))
        assert size is not None
        assert disk is not None
        assert size["x"] >= disk["x"] + disk["width"]
        head_of(page, "Size").get_by_role("button").click()
        expect(head_of(page, "Size")).to_have_attribute("aria-sort", "ascending")

    def test_a_phone_has_few_rows_in_the_document_too(self, open_file: OpenFile, estate_file: Path) -> None:
        page = open_file(estate_file, PHONE)
        scroll_to_the_end(page)
        expect(rows_of(page).last).to_contain_text("app04999")
        expect(rows_of(page).last).to_be_in_viewport(ratio=0.9)
        assert page.locator("tbody tr").count() < MOST_LINES

    def test_it_is_dark_where_the_system_is(self, open_map: OpenMap) -> None:
        lightness = "Math.max(...getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number))"
        assert open_map(document([row()]), theme="dark").evaluate(lightness) < 40

    def test_it_is_light_where_the_system_is(self, open_map: OpenMap) -> None:
        lightness = "Math.min(...getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number))"
        assert open_map(document([row()])).evaluate(lightness) == 255

    def test_the_first_stop_of_the_tab_key_skips_to_the_table(self, open_map: OpenMap) -> None:
        page = open_map(document([row()]))
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the table")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#table")).to_be_focused()
        assert cells(page, "vm") == ["app01"]

    def test_what_has_the_focus_is_seen(self, open_map: OpenMap) -> None:
        page = open_map(document([row()]))
        page.get_by_role("searchbox").focus()
        page.keyboard.press("Tab")
        assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 3

    def test_everything_that_is_worked_with_has_a_name(self, open_map: OpenMap) -> None:
        page = open_map(document([row(), other()]))
        page.get_by_text("Columns").click()
        named = "one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim()"
        nameless = f"all => all.filter(one => one.checkVisibility() && !({named})).length"
        assert page.locator("button, input, [role=button], [role=region]").evaluate_all(nameless) == 0

    def test_a_print_is_no_wider_than_its_paper(self, open_map: OpenMap) -> None:
        page = open_map(document([row(vm_name="n" * 500), other()]))
        paper = 718  # A4 within the browser's margins, in CSS pixels
        page.emulate_media(media="print")
        page.set_viewport_size({"width": paper, "height": 1000})
        assert page.evaluate("document.documentElement.scrollWidth") <= paper
        array = node(page, "Array ontap01").bounding_box()
        assert array is not None
        assert array["x"] + array["width"] <= paper

    def test_a_print_has_every_row_that_is_shown(self, open_map: OpenMap) -> None:
        page = open_map(estate(300))
        assert page.locator("tbody tr:not(.space, .group)").count() < 300
        assert self._printed(page) == 300
        expect(page.locator("#printed")).to_have_text("")

    def test_a_print_of_too_many_rows_says_how_many_are_left_out(self, open_file: OpenFile, estate_file: Path) -> None:
        page = open_file(estate_file)
        rows = self._printed(page)
        assert rows > 1000
        expect(page.locator("#printed")).to_contain_text(f"{ROWS - rows:,} rows of 10,000 are not printed")
        assert page.locator("tbody tr").count() < MOST_LINES

    @staticmethod
    def _printed(page: Page) -> int:
        """How many rows were in the document when the browser printed it."""
        count = "window.printedRows = document.querySelectorAll('tbody tr:not(.space, .group)').length"
        page.evaluate(f"window.addEventListener('beforeprint', () => {{ {count} }})")
        page.pdf()
        return int(page.evaluate("window.printedRows"))
