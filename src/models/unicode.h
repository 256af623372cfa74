// As much of Unicode as a BERT tokenizer needs. The categories are those of Unicode 14.
#pragma once

#include <string>
#include <string_view>

namespace octet::models::unicode {

/// The code points of a text; bytes that are not UTF-8 (stray or missing continuations, overlong forms, surrogates, beyond
/// U+10FFFF) are left out.
std::u32string decode_utf8(std::string_view text);

void append_utf8(char32_t c, std::string& text);

/// Takes the last character off a text in UTF-8, which must have one.
void remove_last(std::string& text);

/// Categories Cc, Cf and Co without tab, line feed and carriage return.
bool is_control(char32_t c);

/// Tab, line feed, carriage return, and categories Zs, Zl and Zp.
bool is_whitespace(char32_t c);

/// Categories P*, and all in ASCII that is neither letter, digit, blank nor control.
bool is_punctuation(char32_t c);

/// Category Mn: accents that combine with the letter before them, vowel signs, ...
bool is_nonspacing_mark(char32_t c);

/// The blocks of Chinese characters (unified and compatibility ideographs), but not kana and Hangul.
bool is_ideograph(char32_t c);

/// The lower-case letter without its accents, in ASCII and the blocks from U+00C0 to U+024F (Latin), U+0370 to U+052F (Greek,
/// Coptic, Cyrillic) and U+1E00 to U+1FFF (more of Latin and Greek); other characters as they are.
char32_t fold(char32_t c);

}  // namespace octet::models::unicode
