// How a page reads as it is laid out: by how much it is wider than its window, how light its ground
// is, and the text that stands out least from what is behind it, by the contrast ratio of WCAG 2.2.
(() => {
  const numbers = (color) => color.match(/[\d.]+/g).map(Number);
  const linear = (channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  const luminance = (color) => {
    const [red, green, blue] = numbers(color).map(linear);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if ((numbers(color)[3] ?? 1) === 1) return luminance(color);
    }
    return 1;
  };
  const contrast = (element) => {
    const [ink, paper] = [luminance(getComputedStyle(element).color), behind(element)];
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  };
  const isText = (node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "";
  const isRead = (element) => !element.matches("script, option") && element.checkVisibility()
    && [...element.childNodes].some(isText);
  const texts = [...document.body.querySelectorAll("*")].filter(isRead);
  const told = texts.map((element) => [contrast(element), element.textContent.trim()]);
  const [least, text] = told.reduce((one, other) => (other[0] < one[0] ? other : one));
  const { scrollWidth, clientWidth } = document.documentElement;
  const over = scrollWidth - clientWidth;
  return { over, ground: behind(document.body), texts: texts.length, contrast: least, text };
})()
