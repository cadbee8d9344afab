package partiql

import "strings"

// keywords are the words that a name in a statement can be only in quotes: the
// keywords of SQL-92 and those that PartiQL adds.
var keywords = func() map[string]bool {
	m := make(map[string]bool, 300)
	for _, w := range strings.Fields(`
absolute action add all allocate alter any are asc assertion authorization avg begin bit bit_length
cascade cascaded case cast catalog char character character_length char_length check close coalesce collate
collation column commit connect connection constraint constraints continue convert corresponding count create
cross current current_date current_time current_timestamp current_user cursor date deallocate dec decimal declare
default deferrable deferred delete desc describe descriptor diagnostics disconnect distinct domain double drop else
end escape except exception exec execute exists external extract date_add date_diff fetch first float for
foreign found from full get global go goto grant group having identity immediate indicator initially inner input
insensitive insert int integer intersect interval into isolation join key language last left level local
lower match max min module names national natural nchar next no nullif numeric octet_length of on only open option
order outer output overlaps pad partial position precision prepare preserve primary prior privileges procedure
public read real references relative restrict revoke right rollback rows schema scroll section select session
session_user set size smallint some space sql sqlcode sqlerror sqlstate substring sum system_user table temporary
then time timestamp to transaction translate translation trim union unique unknown update upper usage user using
value values varchar varying view when whenever where with work write zone
can_cast can_lossless_cast pivot unpivot limit tuple remove index let integer2 int2 integer4 int4 integer8 int8
bigint conflict do nothing returning modified new old bool boolean string symbol clob blob struct list sexp bag
`) {
		m[w] = true
	}
	return m
}()

// typeAliases are the other names of types.
var typeAliases = map[string]string{
	"varchar": "character_varying", "char": "character", "dec": "decimal", "int": "integer",
	"int2": "smallint", "integer2": "smallint", "int4": "integer4", "int8": "integer8", "bigint": "integer8",
	"bool": "boolean",
}

// typeNames are the types that IS may ask for, as the grammar knows them.
var typeNames = func() map[string]bool {
	m := make(map[string]bool, 40)
	for _, w := range strings.Fields(`missing null boolean smallint integer4 integer8 integer float real
double_precision decimal numeric timestamp date time character character_varying string symbol clob blob struct
tuple list sexp bag any`) {
		m[w] = true
	}
	return m
}()

// functionKeywords are the keywords that name a function when a parenthesis
// follows.
var functionKeywords = map[string]bool{
	"exists": true, "count": true, "avg": true, "max": true, "min": true, "sum": true,
	"char_length": true, "character_length": true, "octet_length": true, "bit_length": true,
	"upper": true, "lower": true, "size": true, "sexp": true, "list": true, "bag": true,
}

// wordOperators are the operators that are words.
var wordOperators = map[string]bool{"and": true, "or": true, "not": true, "is": true, "in": true, "between": true, "like": true}

// aliasWords are the words that introduce a second name of a source.
var aliasWords = map[string]bool{"as": true, "at": true, "by": true}

// pairs are the two words that make one token, and that token.
var pairs = map[[2]string]token{
	{"not", "in"}:            {kind: tokenOperator, text: "not_in"},
	{"not", "between"}:       {kind: tokenOperator, text: "not_between"},
	{"not", "like"}:          {kind: tokenOperator, text: "not_like"},
	{"is", "not"}:            {kind: tokenOperator, text: "is_not"},
	{"insert", "into"}:       {kind: tokenKeyword, text: "insert_into"},
	{"double", "precision"}:  {kind: tokenKeyword, text: "double_precision"},
	{"character", "varying"}: {kind: tokenKeyword, text: "character_varying"},
	{"all", "old"}:           {kind: tokenKeyword, text: "all_old"},
	{"all", "new"}:           {kind: tokenKeyword, text: "all_new"},
	{"modified", "old"}:      {kind: tokenKeyword, text: "modified_old"},
	{"modified", "new"}:      {kind: tokenKeyword, text: "modified_new"},
}
