package keys

// deadLetterName begins the names of dead letters among the node-local facts:
// records of other regions that this node refused for good.
const deadLetterName = "dead-letter/"

// DeadLetter is one refused record; name tells it from all others.
func DeadLetter(name []byte) []byte { return append(local(deadLetterName), name...) }

// DeadLetters are all refused records.
func DeadLetters() Span {
	end := local(deadLetterName)
	end[len(end)-1]++
	return Span{Start: local(deadLetterName), End: end}
}
