package item

import (
	"slices"

	"pgregory.net/rapid"
)

// words draws strings with zeros, quotes, and characters of every length; as
// binaries they need not be UTF-8.
func words() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "ab", "a\x00", "a\x00b", "a\x01", "\x00", "\x00\x00", "\"\\/\n\t\x1f", "é", "漢字", "😀"}),
		rapid.StringN(0, 12, -1),
		rapid.StringOfN(rapid.RuneFrom([]rune("ab\x00\x01")), 0, 6, -1),
	)
}

func binaries() *rapid.Generator[string] {
	return rapid.OneOf(words(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) }))
}

// keyValues draws what can be a key: S, N and B.
func keyValues() *rapid.Generator[Value] {
	return rapid.OneOf(
		rapid.Map(words(), Str),
		rapid.Map(binaries(), Bin),
		rapid.Map(numbers(), Num),
	)
}

// values draws any valid value, nested at most depth deep.
func values(depth int) *rapid.Generator[Value] {
	kinds := []*rapid.Generator[Value]{
		keyValues(), keyValues(), keyValues(),
		rapid.Map(rapid.Bool(), Bool),
		rapid.Just(Null()),
		sets(SS, rapid.Map(words(), Str)),
		sets(NS, rapid.Map(numbers(), Num)),
		sets(BS, rapid.Map(binaries(), Bin)),
	}
	if depth > 0 {
		kinds = append(kinds,
			rapid.Custom(func(t *rapid.T) Value {
				return List(rapid.SliceOfN(values(depth-1), 0, 5).Draw(t, "list"))
			}),
			rapid.Custom(func(t *rapid.T) Value { return Map(items(depth-1).Draw(t, "map")) }),
		)
	}
	return rapid.OneOf(kinds...)
}

func sets(kind Kind, elems *rapid.Generator[Value]) *rapid.Generator[Value] {
	return rapid.Map(rapid.SliceOfN(elems, 1, 12), func(vs []Value) Value {
		var unique []Value
		for _, v := range vs {
			if !slices.ContainsFunc(unique, func(u Value) bool { return Equal(u, v) }) {
				unique = append(unique, v)
			}
		}
		return Set(kind, unique)
	})
}

func items(depth int) *rapid.Generator[Item] {
	return rapid.Custom(func(t *rapid.T) Item {
		n := rapid.IntRange(0, 14).Draw(t, "attributes")
		fields := make([]Field, n)
		for i := range fields {
			name := rapid.StringN(1, 8, -1).Draw(t, "name")
			fields[i] = Field{name, values(depth).Draw(t, "value")}
		}
		return Make(fields)
	})
}
