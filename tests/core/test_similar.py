"""Which code tasks ask for nearly the same, in both languages."""

from time import process_time

import pytest

from bot.core.similar import Similar, similar

OTHERS = [
    (1, "Show who approved each deploy on the release page"),
    (2, "Password reset mail never arrives"),
    (3, "列表支持批量修改负责人"),
    (4, "构建失败的时候把日志发到群里"),
    (5, "Let admins set a default reviewer per repository"),
    (6, "夜间任务退出码 137"),
]


def nearest(text: str, other: str) -> Similar | None:
    return next((one for one in similar(text, [*OTHERS, (9, other)], top=9) if one.id == 9), None)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("could we get CSV export on invoices?", "Export invoices as CSV"),
        ("please make the sidebar collapsible", "can the sidebar be collapsed"),
        ("dark mode please", "We need a dark mode, my eyes hurt at night"),
        ("能不能加个暗色主题", "暗色主题"),
        ("什么时候能支持单点登录？客户在催", "支持单点登录"),
        ("登录后跳回登录页", "登录之后一直跳回登录页，死循环"),
        ("导出 invoices CSV", "Invoices need a CSV export"),
    ],
)
def test_the_same_wish_in_other_words_is_likely_the_same_and_first(text: str, other: str) -> None:
    found = similar(text, [*OTHERS, (9, other)])
    assert found[0].id == 9
    assert found[0].likely_same


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("dark mode for the editor", "keyboard shortcuts for the editor"),
        ("导出报表", "报表打印空白"),
        ("mute one thread", "pasted screenshots come out empty"),
        ("希望能支持拼音搜索", "希望能支持批量删除"),
    ],
)
def test_another_wish_is_not(text: str, other: str) -> None:
    found = nearest(text, other)
    assert found is None or not found.likely_same


def test_two_characters_of_chinese_are_enough() -> None:
    found = similar("排序", [*OTHERS, (9, "下拉框没有排序")])
    assert [one.id for one in found] == [9]


def test_one_text_is_wholly_like_itself_whatever_its_case_width_and_order_of_length() -> None:
    text = "Export invoices as CSV 导出账单"
    assert nearest(text, text) == Similar(9, pytest.approx(1.0), likely_same=True)
    assert nearest(text, "ＥＸＰＯＲＴ invoices as csv 导出账单") == Similar(9, pytest.approx(1.0), likely_same=True)


def test_a_rare_word_weighs_more_than_one_that_all_share() -> None:
    crowd = [(number, f"export of table {number}") for number in range(1, 50)]
    found = similar("export the invoice", [*crowd, (90, "print the invoice")], top=1)
    assert found[0].id == 90


@pytest.mark.parametrize("text", ["", "?!", "the of and", "能不能", "🙂"])
def test_what_says_nothing_is_like_nothing(text: str) -> None:
    assert similar(text, [*OTHERS, (9, text)]) == []


def test_no_candidates_and_top() -> None:
    assert similar("csv export", []) == []
    same = [(number, "csv export") for number in range(10)]
    assert [one.id for one in similar("csv export", same)] == [0, 1, 2]
    assert len(similar("csv export", same, top=5)) == 5


def test_a_thousand_candidates_cost_about_what_a_thousand_should() -> None:
    def spent(count: int) -> float:
        listed = [
            (number, f"Export report {number} of the {number % 37} dashboards 导出报表") for number in range(count)
        ]
        similar("export the report", listed)
        rounds = []
        for _ in range(5):
            start = process_time()
            similar("export the report", listed)
            rounds.append(process_time() - start)
        return min(rounds)

    assert spent(1_000) <= 40 * max(spent(100), 1e-5)
