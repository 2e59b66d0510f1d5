"""How a page is looked at: what does not fit, and what axe is asked for."""

MEASURE = """() => {
    const faults = [];
    const root = document.documentElement;
    const [width, height] = [root.clientWidth, root.clientHeight];
    if (document.body.scrollWidth > width) faults.push(`the page is ${document.body.scrollWidth} wide`);
    const foot = document.querySelector("footer").getBoundingClientRect();
    const head = document.querySelector("header").getBoundingClientRect();
    const told = (element) => `<${element.tagName.toLowerCase()} id=${element.id}> ${element.textContent.slice(0, 40)}`;
    for (const element of document.body.querySelectorAll("*")) {
        const text = [...element.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
        const box = element.getBoundingClientRect();
        if (!box.width || getComputedStyle(element).visibility === "hidden") continue;
        if (text && parseFloat(getComputedStyle(element).fontSize) < 24) faults.push(`too small: ${told(element)}`);
        if (!text && element.tagName !== "IMG") continue;
        if (box.left < -1 || box.right > width + 1) faults.push(`past the edge: ${told(element)}`);
        const isInMain = element.closest("main") !== null;
        const isCovered = isInMain && (box.top < head.bottom - 1 || box.bottom > foot.top + 1);
        if (isCovered) faults.push(`does not fit: ${told(element)}`);
        const isCut = element.clientWidth && element.scrollWidth > element.clientWidth + 1;
        if (isCut && !["entry", "subject"].includes(element.id)) faults.push(`cut off: ${told(element)}`);
    }
    return faults;
}"""
"""What is too small, cut off, outside of its place or past the edge."""

AXE = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "wcag2aaa", "best-practice"]},
    "rules": {"color-contrast-enhanced": {"enabled": True}, "target-size": {"enabled": True}},
}
"""WCAG 2.2 with the enhanced contrast of 7:1 (success criterion 1.4.6)."""
